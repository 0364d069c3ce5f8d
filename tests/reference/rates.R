#!/usr/bin/env Rscript
# Oracles of Poisson models: glm on split follow-up of lung; excess and relative mortality on rdata with slopop, the expected
# numbers counted day by day. Writes rates_reference.csv. Usage, in this folder, after net_survival.R and survival.R: Rscript rates.R
suppressMessages({ library(survival); library(relsurv) })
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
lung <- read.csv("lung.csv"); lung$time <- lung$time / 365.25
s <- survSplit(Surv(time, event) ~ ., lung, cut = c(0.5, 1, 1.5), episode = "band"); s$y <- s$time - s$tstart
f <- glm(event ~ 0 + factor(band) + factor(sex) + offset(log(y)), poisson, s, control = glm.control(epsilon = 1e-14, maxit = 100))
for (n in 1:5) { add("lung", n, "coef", coef(f)[n]); add("lung", n, "se", sqrt(vcov(f)[n, n])) }
rd <- read.csv("rdata.csv"); ct <- attr(slopop, "cutpoints"); arr <- unclass(slopop); day <- as.Date("1970-01-01"); H <- 1827
n <- nrow(rd); start <- rd$date + 3653 # days since 1960
D <- Y <- E <- matrix(0, n, 5); ends <- (1:5) * 365.241
for (k in 0:(H - 1)) { r <- rd$time > k; ai <- findInterval(rd$age_days + k, ct[[1]]); yi <- findInterval(start + k, as.numeric(ct[[2]]))
  h <- arr[cbind(pmin(ai, 104), pmin(yi, 45), rd$sex)]
  b1 <- findInterval(k, c(0, ends), rightmost.closed = TRUE); b2 <- findInterval(k + 1 - 1e-9, c(0, ends))
  if (b1 == b2) { Y[r, b1] <- Y[r, b1] + 1; E[r, b1] <- E[r, b1] + h[r] } else { a <- ends[b1] - k; Y[r, b1] <- Y[r, b1] + a; E[r, b1] <- E[r, b1] + a * h[r]; if (b2 <= 5) { Y[r, b2] <- Y[r, b2] + 1 - a; E[r, b2] <- E[r, b2] + (1 - a) * h[r] } } }
for (i in which(rd$dead == 1 & rd$time <= 1826)) { b <- findInterval(rd$time[i], c(0, ends), left.open = TRUE); D[i, b] <- 1 }
Y <- Y / 365.241; g <- interaction(rd$sex, rd$agegr); z <- expand.grid(b = 1:5, g = levels(g)); agg <- function(M) as.vector(sapply(levels(g), function(l) colSums(M[g == l, , drop = FALSE])))
d <- data.frame(z, D = agg(D), Y = agg(Y), E = agg(E)); d$sex <- factor(sub("\\..*", "", d$g)); d$age <- factor(sub("^[12]\\.", "", d$g), levels = c("<54", "54-61", "62-70", "71-95"))
X <- model.matrix(~ 0 + factor(b) + sex + age, d)
fit <- function(block, mu, start) { nll <- function(th) { m <- mu(drop(X %*% th)); if (any(m <= 0)) return(1e10); -sum(d$D * log(m) - m) }
  o <- optim(start, nll, method = "BFGS", control = list(reltol = 1e-15, maxit = 2000)); th <- o$par
  for (i in 1:8) th <- th - solve(numDeriv::hessian(nll, th), numDeriv::grad(nll, th)); v <- sqrt(diag(solve(numDeriv::hessian(nll, th))))
  for (n in seq_along(th)) { add(block, n, "coef", th[n]); add(block, n, "se", v[n]) } }
fit("excess", function(eta) d$E + d$Y * exp(eta), c(rep(-4, 5), 0.5, 0, 0, 0))
f <- glm(D ~ 0 + factor(b) + sex + age + offset(log(E)), poisson, d, control = glm.control(epsilon = 1e-14, maxit = 100))
for (n in 1:9) { add("relative", n, "coef", coef(f)[n]); add("relative", n, "se", sqrt(vcov(f)[n, n])) }
write.csv(do.call(rbind, R), "rates_reference.csv", row.names = FALSE, quote = FALSE)
