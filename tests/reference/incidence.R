#!/usr/bin/env Rscript
# Oracles of incidence: rates of testicular cancer in Denmark (Epi::testisDK) by epitools, trends by glm, MASS::glm.nb and lm,
# joinpoints by brute force over all places, age-period-cohort models by Epi::apc.fit, drifts by lm on a Holford design.
# Writes incidence_reference.csv. Usage, in this folder: Rscript incidence.R
suppressMessages({ library(epitools); library(Epi); library(MASS); library(segmented) })
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
d <- read.csv("testisDK.csv"); names(d) <- c("A", "P", "D", "Y")
lower <- c(seq(0, 85, 5)); d$band <- cut(d$A, c(lower, 200), right = FALSE, labels = lower)
segi <- c(12, 10, 9, 9, 8, 8, 6, 6, 6, 6, 5, 4, 4, 3, 2, 1, 0.5, 0.5)
for (p in list(c(1950, 1954), c(1970, 1974), c(1990, 1994))) {
  x <- aggregate(cbind(D, Y) ~ band, d[d$P >= p[1] & d$P <= p[2], ], sum); nm <- paste0(p[1], "-", p[2])
  add(nm, "crude", "cases", sum(x$D)); add(nm, "crude", "rate", 1e5 * sum(x$D) / sum(x$Y))
  g <- qchisq(c(.025, .975), 2 * sum(x$D) + c(0, 2)) / 2 / sum(x$Y) * 1e5; add(nm, "crude", "low", g[1]); add(nm, "crude", "high", g[2])
  a <- ageadjust.direct(x$D, x$Y, stdpop = segi); for (s in c("adj.rate", "lci", "uci")) add(nm, "world", s, 1e5 * a[[s]])
  w <- segi / sum(segi); add(nm, "world", "se", 1e5 * sqrt(sum(w^2 * x$D / x$Y^2)))
  i <- x$band %in% lower[1:15]; cr <- sum(5 * x$D[i] / x$Y[i]); add(nm, "cumulative-0-74", "rate", 100 * cr); add(nm, "cumulative-0-74", "risk", 100 * (1 - exp(-cr)))
  for (b in c("15", "30", "80")) { q <- x[x$band == b, ]; add(nm, b, "rate", 1e5 * q$D / q$Y); e <- pois.exact(q$D, q$Y); if (q$D > 0) { add(nm, b, "low", 1e5 * qchisq(.025, 2 * q$D) / 2 / q$Y) }; add(nm, b, "high", 1e5 * qchisq(.975, 2 * q$D + 2) / 2 / q$Y) }
}
# Trend at ages 15 to 49 in five-year bands.
t <- d[d$A >= 15 & d$A < 50, ]; t$band <- droplevels(t$band); t <- aggregate(cbind(D, Y) ~ band + P, t, sum)
ctl <- glm.control(epsilon = 1e-14, maxit = 200)
f <- glm(D ~ 0 + band + P + offset(log(Y)), poisson, t, control = ctl); add("trend", "poisson", "coef", coef(f)["P"]); add("trend", "poisson", "se", sqrt(vcov(f)["P", "P"]))
q <- glm(D ~ 0 + band + P + offset(log(Y)), quasipoisson, t, control = ctl); add("trend", "quasi", "se", sqrt(vcov(q)["P", "P"])); add("trend", "quasi", "phi", summary(q)$dispersion); add("trend", "quasi", "df", q$df.residual)
X <- model.matrix(~ Eth + Sex + Age + Lrn, quine); write.csv(cbind(days = quine$Days, X), "quine.csv", row.names = FALSE, quote = FALSE)
nb <- glm.nb(Days ~ Eth + Sex + Age + Lrn, quine, control = glm.control(epsilon = 1e-14, maxit = 1000)); for (n in seq_along(coef(nb))) { add("quine", n, "coef", coef(nb)[n]); add("quine", n, "se", sqrt(vcov(nb)[n, n])) }; add("quine", "theta", "kappa", 1 / nb$theta); add("quine", "model", "log_likelihood", as.numeric(logLik(nb)))
w7 <- segi[4:10] / sum(segi[4:10]); y <- do.call(rbind, lapply(split(t, t$P), function(x) data.frame(P = x$P[1], D = sum(x$D), r = sum(w7 * x$D / x$Y), v = sum(w7^2 * x$D / x$Y^2))))
l <- lm(log(r) ~ P, y); add("trend", "ols", "coef", coef(l)[2]); add("trend", "ols", "se", sqrt(vcov(l)[2, 2]))
l <- lm(log(r) ~ P, y, weights = r^2 / v); add("trend", "wls", "coef", coef(l)[2]); add("trend", "wls", "se", sqrt(vcov(l)[2, 2]))
# Joinpoints by brute force.
lam <- tapply(t$D, t$band, sum) / tapply(t$Y, t$band, sum); y$E <- sapply(y$P, function(p) { x <- t[t$P == p, ]; sum(x$Y * lam[x$band]) })
n <- nrow(y); places <- function(k, ends = 2, between = 2) { if (k == 0) return(list(integer())); z <- combn((1 + ends):(n - ends), k, simplify = FALSE); Filter(function(i) all(diff(i) > between), z) }
X <- function(tau) cbind(1, y$P - y$P[1], sapply(tau, function(s) pmax(y$P - s, 0)))
X0 <- function(tau) if (length(tau)) X(tau) else cbind(1, y$P - y$P[1])
wls <- function(tau) { f <- lm.wfit(X0(tau), log(y$r), y$r^2 / y$v); sum(y$r^2 / y$v * f$residuals^2) }
poi <- function(tau) suppressWarnings(glm.fit(X0(tau), y$D, offset = log(y$E), family = poisson(), control = ctl))$deviance
for (m in c("wls", "poi")) for (k in 0:3) { L <- places(k); loss <- sapply(L, function(i) get(m)(y$P[i])); b <- L[[which.min(loss)]]
  add(m, k, "loss", min(loss)); for (j in seq_along(b)) add(m, paste(k, j, sep = "-"), "at", y$P[b[j]])
  tau <- y$P[b]; if (m == "wls") { f <- lm(log(r) ~ 0 + X0(tau), y, weights = r^2 / v); V <- vcov(f) * f$df.residual / (n - 2 * (k + 1)); df <- n - 2 * (k + 1) } else { f <- glm(D ~ 0 + X0(tau) + offset(log(E)), poisson, y, control = ctl); V <- vcov(f) }
  S <- matrix(0, k + 1, k + 2); for (i in 1:(k + 1)) S[i, 2:(i + 1)] <- 1; s <- S %*% coef(f); V <- S %*% V %*% t(S)
  for (i in 1:(k + 1)) { add(m, paste(k, i, sep = "-"), "slope", s[i]); add(m, paste(k, i, sep = "-"), "se", sqrt(V[i, i])) }
  len <- diff(c(y$P[1], tau, y$P[n])); w <- len / sum(len); add(m, k, "average", sum(w * s)); add(m, k, "average-se", sqrt(t(w) %*% V %*% w))
  lo <- if (m == "wls") log(min(loss) / n) else min(loss) / n; add(m, k, "bic", lo + (2 * k + 2) * log(n) / n); add(m, k, "bic3", lo + (3 * k + 2) * log(n) / n) }
# The largest partial R2 of one change of slope in its two segments, for the weighted BIC.
for (k in 1:3) { L <- places(k); b <- y$P[L[[which.min(sapply(L, function(i) wls(y$P[i])))]]]; e <- c(-Inf, b, Inf)
  pr <- sapply(1:k, function(j) { i <- y$P >= e[j] & y$P <= e[j + 2]; w <- (y$r^2 / y$v)[i]; x <- y$P[i]; u <- log(y$r[i]); s0 <- sum(w * lm.wfit(cbind(1, x), u, w)$residuals^2); s1 <- sum(w * lm.wfit(cbind(1, x, pmax(x - b[j], 0)), u, w)$residuals^2); (s0 - s1) / s0 })
  add("wls", k, "weighted", log(wls(b) / n) + ((2 + max(pr)) * k + 2) * log(n) / n) }
# Two periods against each other, ages 15 to 49.
per <- function(a, b) { x <- t[t$P >= a & t$P <= b, ]; x <- aggregate(cbind(D, Y) ~ band, x, sum); x }; p1 <- per(1950, 1954); p2 <- per(1990, 1994)
D1 <- sum(p2$D); D2 <- sum(p1$D); Y1 <- sum(p2$Y); Y2 <- sum(p1$Y); q <- poisson.test(c(D1, D2), c(Y1, Y2)); add("compare", "exact", "ratio", q$estimate); add("compare", "exact", "low", q$conf.int[1]); add("compare", "exact", "high", q$conf.int[2])
od <- function(p) p / (1 - p) * Y2 / Y1; N <- D1 + D2; mp <- function(p) pbinom(D1, N, p, lower.tail = FALSE) + 0.5 * dbinom(D1, N, p); for (s in c("low", "high")) add("compare", "midp", s, od(uniroot(function(p) mp(p) - ifelse(s == "low", .025, .975), c(1e-6, 1 - 1e-6), tol = 1e-14)$root))
Yt <- p2$Y + p1$Y; r <- sum(p2$D * p1$Y / Yt); s <- sum(p1$D * p2$Y / Yt); v <- sum((p2$D + p1$D) * p2$Y * p1$Y / Yt^2); add("compare", "mh", "ratio", r / s); add("compare", "mh", "low", exp(log(r / s) - qnorm(.975) * sqrt(v / (r * s)))); add("compare", "mh", "chi2p", pchisq(sum(p2$D - (p2$D + p1$D) * p2$Y / Yt)^2 / v, 1, lower.tail = FALSE))
st <- function(x) { w <- w7 / x$Y; list(y = sum(w * x$D), v = sum(w^2 * x$D), m = max(w), a = mean(w), a2 = mean(w^2)) }; A <- st(p2); B <- st(p1)
add("compare", "log", "low", A$y / B$y * exp(-qnorm(.975) * sqrt(A$v / A$y^2 + B$v / B$y^2))); zd <- (A$y - B$y) / sqrt(A$v + B$v); add("compare", "test", "low", (A$y / B$y)^(1 - qnorm(.975) / zd)); add("compare", "test", "high", (A$y / B$y)^(1 + qnorm(.975) / zd))
ff <- function(nm, am, am2, bm, bm2) { add("compare", nm, "low", A$y / (B$y + bm) * qf(.025, 2 * A$y^2 / A$v, 2 * (B$y + bm)^2 / (B$v + bm2))); add("compare", nm, "high", (A$y + am) / B$y * qf(.975, 2 * (A$y + am)^2 / (A$v + am2), 2 * B$y^2 / B$v)) }; ff("fay", A$m, A$m^2, B$m, B$m^2); ff("tiwari", A$a, A$a2, B$a, B$a2)
g <- function(D, Y) qchisq(c(.025, .975), 2 * D + c(0, 2)) / 2 / Y; ga <- g(D1, Y1); gb <- g(D2, Y2); rd <- D1 / Y1 - D2 / Y2; add("compare", "mover", "low", 1e5 * (rd - sqrt((D1 / Y1 - ga[1])^2 + (gb[2] - D2 / Y2)^2))); add("compare", "mover", "high", 1e5 * (rd + sqrt((ga[2] - D1 / Y1)^2 + (D2 / Y2 - gb[1])^2))); add("compare", "asr", "difference", 1e5 * (A$y - B$y)); add("compare", "asr", "p", 2 * pnorm(-abs(A$y - B$y) / sqrt(A$v + B$v)))
# Shrinkage and overdispersion of twelve invented counts.
O <- c(3, 0, 12, 7, 35, 24, 9, 81, 18, 15, 2, 30); E <- c(2.1, 1.4, 8.8, 9.5, 20.3, 44.1, 5.2, 50.6, 21.7, 8.9, 3.3, 27); m <- sum(O) / sum(E); s2 <- sum(E * (O / E - m)^2) / sum(E); a <- max(0, s2 - m / (sum(E) / 12)); add("shrink", "moments", "variance", a); for (i in c(1, 2, 8)) add("shrink", paste0("moments", i), "ratio", m + a / (a + m / E[i]) * (O[i] / E[i] - m))
nb <- function(p) -sum(dnbinom(O, size = exp(p[1]), prob = exp(p[2]) / (exp(p[2]) + E), log = TRUE)); o <- optim(c(1, 1), nb, control = list(reltol = 1e-16, maxit = 5000)); o <- optim(o$par, nb, method = "BFGS", control = list(reltol = 1e-16, maxit = 1000)); add("shrink", "ml", "mean", exp(o$par[1] - o$par[2])); for (i in c(1, 2, 8)) add("shrink", paste0("ml", i), "ratio", (O[i] + exp(o$par[1])) / (E[i] + exp(o$par[2])))
z <- sort(2 * (sqrt(O) - sqrt(m * E))); z <- pmin(pmax(z, z[2]), z[11]); add("shrink", "phi", "phi", max(1, mean(z^2))); add("shrink", "chi", "chi2", sum((O - m * E)^2 / (m * E))); add("shrink", "pw", "pw", sum(E) * sum(O * (O - 1) / E))
# Continuous joinpoints: optim from every grid place, kept inside the allowed years with two observations between them.
for (k in 1:2) { L <- places(k); loss <- sapply(L, function(i) wls(y$P[i])); o <- order(loss)[1:60]; best <- Inf; at <- NA
  inside <- function(tau) { e <- sort(tau); all(e >= y$P[3], e <= y$P[n - 2]) && (length(e) < 2 || all(sapply(seq_len(length(e) - 1), function(i) sum(y$P > e[i] & y$P < e[i + 1]) >= 2))) }
  for (i in o) { r <- if (k == 1) { z <- optimize(function(s) wls(s), c(max(y$P[3], y$P[L[[i]]] - 1), min(y$P[n - 2], y$P[L[[i]]] + 1)), tol = 1e-12); list(par = z$minimum, value = z$objective) } else { g <- function(s) if (inside(s)) wls(s) else 1e9; r <- optim(y$P[L[[i]]] + 1e-3, g, control = list(reltol = 1e-15, maxit = 5000)); optim(r$par, g, control = list(reltol = 1e-15, maxit = 5000)) }
    if (r$value < best) { best <- r$value; at <- sort(r$par) } }
  add("hudson", k, "loss", best); for (j in 1:k) add("hudson", paste(k, j, sep = "-"), "at", at[j]) }
sg <- segmented(lm(log(r) ~ P, y, weights = r^2 / v), ~P, npsi = 1, control = seg.control(tol = 1e-12, it.max = 200)); add("segmented", 1, "at", sg$psi[1, 2]); add("segmented", 1, "loss", sum((y$r^2 / y$v) * resid(sg)^2))
# Age-period-cohort models.
apc <- function(nm, z, npar, ...) { m <- apc.fit(z, npar = npar, print.AOV = FALSE, ...); a <- m$Anova
  for (i in 1:5) add(nm, gsub(" ", "", a$Model[i]), "deviance", a[["Mod. dev."]][i]); for (i in 1:5) add(nm, gsub(" ", "", a$Model[i]), "df", a[["Mod. df."]][i])
  for (i in 1:2) for (j in 1:3) add(nm, paste0("drift", i), c("est", "low", "high")[j], m$Drift[i, j])
  for (e in c("Age", "Per", "Coh")) { x <- m[[e]]; for (i in round(seq(1, nrow(x), length.out = 5))) for (j in 2:4) add(nm, paste(e, x[i, 1], sep = "-"), c("est", "low", "high")[j - 1], x[i, j]) } }
td <- d[d$A >= 15 & d$A < 65, ]
apc("testis-acp-1", td, c(A = 7, P = 6, C = 8), parm = "ACP", dr.extr = "1", ref.c = 1918)
apc("testis-apc-d", td, c(A = 7, P = 6, C = 8), parm = "APC", dr.extr = "D", ref.p = 1970)
data(lungDK); tri <- data.frame(A = lungDK$Ax, P = lungDK$Px, D = lungDK$D, Y = lungDK$Y); for (v in c("A", "P", "Y")) tri[[v]] <- as.numeric(sprintf("%.6f", tri[[v]]))
write.csv(tri, "lungDK_triangles.csv", row.names = FALSE, quote = FALSE); apc("lung-acp-y", tri, c(A = 7, P = 7, C = 7), parm = "ACP", dr.extr = "Y", ref.c = 1910)
ld <- data.frame(A = lungDK$A5 + 2.5, P = lungDK$P5 + 2.5, D = tapply(lungDK$D, list(lungDK$A5, lungDK$P5), sum)[cbind(as.character(lungDK$A5), as.character(lungDK$P5))], Y = tapply(lungDK$Y, list(lungDK$A5, lungDK$P5), sum)[cbind(as.character(lungDK$A5), as.character(lungDK$P5))]); ld <- unique(ld)
write.csv(data.frame(age = ld$A - 2.5, year = ld$P - 2.5, cases = ld$D, person_years = sprintf("%.6f", ld$Y)), "lungDK.csv", row.names = FALSE, quote = FALSE); ld$Y <- as.numeric(sprintf("%.6f", ld$Y))
apc("lung-factor", ld, c(A = 5, P = 5, C = 5), model = "factor", parm = "ACP", dr.extr = "Y", ref.c = 1908)
# Net and local drifts: least squares of log rates on a Holford design, the variance scaled up only.
ld <- ld[order(ld$P, ld$A), ]; ages <- sort(unique(ld$A)); per <- sort(unique(ld$P)); a <- length(ages); p <- length(per); nc <- a + p - 1; width <- 5
i <- match(ld$A, ages); j <- match(ld$P, per); ci <- j + a - i; ctr <- function(m) seq_len(m) - (m + 1) / 2
dv <- function(m) { B <- diag(m)[, 2:(m - 1), drop = FALSE]; resid(lm(B ~ ctr(m))) }
DA <- dv(a); DP <- dv(p); DC <- dv(nc); D1 <- ifelse(ld$D > 0, ld$D, 0.1)
M <- cbind(1, width * ctr(a)[i], width * ctr(nc)[ci], DA[i, ], DP[j, ], DC[ci, ]); f <- lm.wfit(M, log(D1 / ld$Y), D1); df <- nrow(M) - ncol(M)
s2 <- max(1, sum(D1 * f$residuals^2) / df); V <- s2 * solve(t(M) %*% (D1 * M)); b <- f$coefficients
add("nci", "net", "est", b[3]); add("nci", "net", "se", sqrt(V[3, 3])); add("nci", "lat", "est", b[2]); add("nci", "cat", "est", b[2] - b[3]); add("nci", "scale", "s2", s2)
wald <- function(nm, idx) { s <- b[idx] %*% solve(V[idx, idx]) %*% b[idx]; add("nci", nm, "chi2", s); add("nci", nm, "df", length(idx)) }
ka <- 3 + seq_len(a - 2); kp <- max(ka) + seq_len(p - 2); kc <- max(kp) + seq_len(nc - 2); wald("net drift", 3); wald("age deviations", ka); wald("period deviations", kp); wald("cohort deviations", kc); wald("period rate ratios", c(3, kp)); wald("cohort rate ratios", c(3, kc))
for (k in seq_len(a)) { w <- ctr(p) / sum(ctr(p)^2) / width; L <- rep(0, length(b)); L[3] <- 1; L[kc] <- drop(w %*% DC[seq_len(p) + a - k, ]); add("nci", paste0("local", k), "est", sum(L * b)); add("nci", paste0("local", k), "se", sqrt(t(L) %*% V %*% L)) }
# Table 29.3 of the Cancer Statistics Review: first to last year, and weighted lines over all years and their halves.
hv <- function(nm, z) { f <- lm(log(r) ~ P, z, weights = r^2 / v); add("halves", nm, "coef", coef(f)[2]); add("halves", nm, "p", summary(f)$coefficients[2, 4]); c(coef(f)[2], vcov(f)[2, 2], f$df.residual) }
add("halves", "ends", "change", 100 * (y$r[nrow(y)] / y$r[1] - 1)); hv("all", y); m <- y$P[1] + (nrow(y) - 1) %/% 2; a <- hv("first", y[y$P <= m, ]); b <- hv("second", y[y$P > m, ]); df <- (a[2] + b[2])^2 / (a[2]^2 / a[3] + b[2]^2 / b[3]); add("halves", "differ", "p", 2 * pt(-abs(a[1] - b[1]) / sqrt(a[2] + b[2]), df))
# Empirical quantile limits with one joinpoint, by brute force with R's own random numbers.
set.seed(20170101); lr <- log(y$r); wt <- y$r^2 / y$v; yrs <- y$P; Lp <- places(1); Xs <- lapply(Lp, function(i) X0(yrs[i])); Qs <- lapply(Xs, function(x) qr(x * sqrt(wt)))
refit <- function(u) { ls <- sapply(Qs, function(q) sum(qr.resid(q, u * sqrt(wt))^2)); i <- which.min(ls); c(yrs[Lp[[i]]], qr.coef(Qs[[i]], u * sqrt(wt))) }
b1 <- refit(lr); ft <- drop(X0(b1[1]) %*% b1[-1]); rs <- sort(sqrt(n / (n - 4)) * sqrt(wt) * (lr - ft)); av <- function(b) { l <- diff(c(yrs[1], b[1], yrs[n])); sum(l * c(b[3], b[3] + b[4])) / sum(l) }
B <- t(replicate(6000, { b <- refit(ft + quantile(rs, runif(n), names = FALSE) / sqrt(wt)); c(b[3], b[3] + b[4], av(b)) })); for (j in 1:3) { q <- quantile(B[, j], c(.025, .975), names = FALSE); add("quantile", c("first", "second", "average")[j], "low", q[1]); add("quantile", c("first", "second", "average")[j], "high", q[2]) }
# Overdispersed counts whose rates rise steeply with age.
k <- expand.grid(age = 0:3, year = 0:19); k$d <- floor(c(2, 15, 120, 900)[k$age + 1] * (1.5 + sin(1.7 * k$year + k$age))); k$a <- factor(k$age); k$y <- k$year - 9.5
nb <- glm.nb(d ~ a + y + offset(log(rep(1e4, 80))), k, control = glm.control(epsilon = 1e-14, maxit = 1000)); for (v in c("a1", "a3", "y")) { add("steep", v, "coef", coef(nb)[v]); add("steep", v, "se", sqrt(vcov(nb)[v, v])) }; add("steep", "theta", "kappa", 1 / nb$theta); add("steep", "model", "log_likelihood", as.numeric(logLik(nb))); add("steep", "model", "aic", AIC(nb))
write.csv(do.call(rbind, R), "incidence_reference.csv", row.names = FALSE, quote = FALSE)
