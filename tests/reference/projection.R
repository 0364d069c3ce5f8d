# Nordpred (Moller et al. 2003) written out with glm: testicular cancer in Denmark, 18 ages of five years, nine periods 1947-1991.
R <- list(); add <- function(...) R[[length(R) + 1]] <<- data.frame(model = ..1, what = ..2, stat = ..3, value = sprintf("%.17g", ..4))
d <- read.csv("testisDK.csv"); d$band <- pmin(d$age %/% 5, 17) + 1; d$period <- (d$year - 1947) %/% 5 + 1; d <- d[d$period >= 1, ]
m <- function(v) unname(tapply(d[[v]], list(d$band, d$period), sum)); D <- m("cases")[, 1:9]; Y <- m("person_years")
segi <- c(12, 10, 9, 9, 8, 8, 6, 6, 6, 6, 5, 4, 4, 3, 2, 1, .5, .5) / 100
nordpred <- function(D, Y, base, first, used, link, recent, cut) {
  n <- ncol(D); A <- nrow(D); z <- expand.grid(Age = 1:A, Period = 1:n); z$D <- c(D); z$Y <- c(Y[, 1:n]); z$Cohort <- A - z$Age + z$Period
  z <- z[z$Age >= first & z$Period > n - base, ]; y <- z$Y
  fam <- poisson(); if (link == "power5") { fam$link <- "power5"; fam$linkfun <- function(mu) (mu / y)^0.2; fam$linkinv <- function(eta) pmax(.Machine$double.eps, y * eta^5); fam$mu.eta <- function(eta) pmax(.Machine$double.eps, 5 * y * eta^4) } else { fam$link <- "rate"; fam$linkfun <- function(mu) log(mu / y); fam$linkinv <- function(eta) y * exp(eta); fam$mu.eta <- function(eta) y * exp(eta) }
  # Aliased levels (the last period and cohort, as glm drops them) are left out by hand: glm's own rank test would need a loose tolerance.
  dm <- function(v, nm, drop) { l <- setdiff(sort(unique(v)), drop); M <- sapply(l, function(k) as.numeric(v == k)); colnames(M) <- paste0(nm, l); M }
  XA <- dm(z$Age, "A", NULL); XC <- dm(z$Cohort, "C", range(z$Cohort)); XP <- dm(z$Period, "P", range(z$Period)); ctl <- glm.control(epsilon = 1e-15, maxit = 500)
  fit <- function(X) glm(z$D ~ 0 + X, family = fam, control = ctl); f <- fit(cbind(XA, Period = z$Period, XP, XC)); m1 <- fit(cbind(XA, Period = z$Period, XC)); m2 <- fit(cbind(XA, Period = z$Period, Q = z$Period^2, XC))
  b <- coef(f); names(b) <- sub("^X", "", names(b)); V <- vcov(f, complete = FALSE); V <- V * max(1, sum(resid(f, "pearson")^2) / f$df.residual)
  ages <- A - first + 1; maxcoh <- A - first + base; step <- cumsum(1 - cut); nf <- length(cut)
  out <- matrix(NA, A, nf); G <- array(0, c(A, nf, length(b)), list(NULL, NULL, names(b)))
  if (used > 1) for (a in 1:(used - 1)) out[a, ] <- mean(D[a, (n - 1):n] / Y[a, (n - 1):n])
  for (a in used:A) for (j in 1:nf) { coh <- (A - first) - (a - first) + base + j
    if (coh >= maxcoh) coh <- maxcoh - (used - first)
    L <- setNames(rep(0, length(b)), names(b)); L[paste0("A", a)] <- 1; L["Period"] <- n + step[j]
    k <- paste0("C", coh + n - base); if (k %in% names(b)) L[k] <- 1
    if (recent) L[paste0("P", n - 1)] <- -step[j]
    use <- !is.na(b); eta <- sum(L[use] * b[use]); out[a, j] <- if (link == "power5") eta^5 else exp(eta); G[a, j, ] <- L * if (link == "power5") 5 * eta^4 else exp(eta) }
  use <- !is.na(b); total <- function(w, j) { g <- colSums(w * G[, j, use]); own <- if (used > 1) sum((w[1:(used - 1)]^2) * rowSums(D[1:(used - 1), (n - 1):n, drop = FALSE] / Y[1:(used - 1), (n - 1):n, drop = FALSE]^2) / 4) else 0; sqrt(drop(t(g) %*% V %*% g) + own) }
  list(rates = out, total = total, deviance = deviance(f), df = f$df.residual, p = pchisq(deviance(f), f$df.residual, lower.tail = FALSE), curve = pchisq(deviance(m1) - deviance(m2), 1, lower.tail = FALSE)) }
cut <- c(0, .25, .5, .75, .75); cst <- matrix(Y[, 9], 18, 5)
for (link in c("power5", "log")) for (base in 4:6) for (recent in c(FALSE, TRUE)) { x <- nordpred(D, Y, base, 5, 6, link, recent, cut); nm <- paste(link, base, if (recent) "recent" else "average")
  add(nm, "fit", "deviance", x$deviance); add(nm, "fit", "df", x$df); add(nm, "fit", "p", x$p); add(nm, "fit", "curvature", x$curve)
  for (j in 1:5) { add(nm, j, "cases", sum(x$rates[, j] * cst[, j])); add(nm, j, "asr", 1e5 * sum(segi * x$rates[, j])); add(nm, j, "se_cases", x$total(cst[, j], j)); add(nm, j, "se_asr", 1e5 * x$total(segi, j)) }
  add(nm, 1, "true_population_cases", sum(x$rates[, 1] * Y[, 10])); add(nm, "30", "rate", 1e5 * x$rates[7, 5]); add(nm, "85", "rate", 1e5 * x$rates[18, 2]) }
write.csv(do.call(rbind, R), "projection_reference.csv", row.names = FALSE, quote = FALSE)
