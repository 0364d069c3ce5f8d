#!/usr/bin/env Rscript
# Oracles of parametric models: survreg on lung and ovarian; Gompertz, generalised gamma, Royston–Parmar and cure models by their
# likelihoods written out and maximised with optim. Writes ovarian.csv, gbsg.csv and parametric_reference.csv.
# Usage, in this folder: Rscript parametric.R
suppressMessages({ library(survival); library(numDeriv) })
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
w <- function(d, file) write.csv(d, file, row.names = FALSE, quote = FALSE, na = "")
lung <- read.csv("lung.csv")
sr <- function(block, f) { cf <- c(coef(f), if (f$dist != "exponential") log(f$scale)); v <- sqrt(diag(vcov(f)))
  for (n in seq_along(cf)) { add(block, n, "coef", cf[n]); add(block, n, "se", v[n]) }; add(block, "model", "loglik", f$loglik[2]) }
ctl <- survreg.control(rel.tolerance = 1e-14, maxiter = 200)
for (d in c("weibull", "exponential", "lognormal", "loglogistic")) sr(paste0("lung_", d), survreg(Surv(time, event) ~ ecog + age + sex, lung, dist = d, control = ctl))
ov <- data.frame(time = survival::ovarian$futime, event = survival::ovarian$fustat, ecog = survival::ovarian$ecog.ps, rx = survival::ovarian$rx); w(ov, "ovarian.csv")
for (d in c("weibull", "exponential", "lognormal", "loglogistic")) sr(paste0("ovarian_", d), survreg(Surv(time, event) ~ ecog + rx, ov, dist = d, control = ctl))
g <- survival::gbsg; gb <- data.frame(time = g$rfstime, event = g$status, hormon = g$hormon, age = g$age, nodes = g$nodes, grade = g$grade); w(gb, "gbsg.csv")
# Newton on numerical derivatives from a good start, to the last digits.
fit <- function(block, nll, start) { o <- optim(start, nll, method = "BFGS", control = list(reltol = 1e-15, maxit = 2000)); th <- o$par
  for (i in 1:6) { gr <- grad(nll, th, method.args = list(r = 6)); H <- hessian(nll, th, method.args = list(r = 6)); th <- th - solve(H, gr) }
  v <- sqrt(diag(solve(hessian(nll, th, method.args = list(r = 6))))); for (n in seq_along(th)) { add(block, n, "coef", th[n]); add(block, n, "se", v[n]) }
  add(block, "model", "loglik", -nll(th)); invisible(th) }
t <- gb$time / 365.25; e <- gb$event; x <- gb$hormon; lt <- log(t)
gomp <- function(th) { h <- th[1] + th[2] * x + th[3] * t; H <- exp(th[1] + th[2] * x) * expm1(th[3] * t) / th[3]; -sum(e * h - H) }
fit("gbsg_gompertz", gomp, c(-2, -0.3, 0.05))
gg <- function(th) { s <- exp(th[3]); q <- th[4]; k <- 1 / q^2; z <- (lt - th[1] - th[2] * x) / s; u <- k * exp(q * z)
  lf <- log(abs(q)) + k * log(k) - lgamma(k) + k * q * z - u - log(s) - lt; lS <- pgamma(u, k, lower.tail = q < 0, log.p = TRUE); -sum(ifelse(e == 1, lf, lS)) }
fit("gbsg_gengamma", gg, c(1.2, 0.3, 0.1, -0.5))
# Royston–Parmar with 0, 1, 2 inner knots at centiles of the uncensored log times.
basis <- function(x, kn) { k <- length(kn); cu <- function(u) pmax(u, 0)^3; B <- cbind(1, x); if (k > 2) for (j in 2:(k - 1)) { l <- (kn[k] - kn[j]) / (kn[k] - kn[1]); B <- cbind(B, cu(x - kn[j]) - l * cu(x - kn[1]) - (1 - l) * cu(x - kn[k])) }; B }
dbasis <- function(x, kn) { k <- length(kn); cu <- function(u) 3 * pmax(u, 0)^2; B <- cbind(0 * x, 1 + 0 * x); if (k > 2) for (j in 2:(k - 1)) { l <- (kn[k] - kn[j]) / (kn[k] - kn[1]); B <- cbind(B, cu(x - kn[j]) - l * cu(x - kn[1]) - (1 - l) * cu(x - kn[k])) }; B }
for (k in 0:2) { kn <- quantile(lt[e == 1], seq(0, 1, length.out = k + 2)); B <- basis(lt, kn); D <- dbasis(lt, kn); m <- ncol(B)
  rp <- function(th) { s <- drop(B %*% th[1:m]) + th[m + 1] * x; d <- drop(D %*% th[1:m]); if (any(d <= 0)) return(1e10); -sum(e * (s + log(d) - lt) - exp(s)) }
  th <- fit(paste0("gbsg_rp", k), rp, c(-2, 1.2, rep(0, k), -0.3)); for (j in seq_along(kn)) add(paste0("gbsg_rp", k), j, "knot", kn[j]) }
# Cure: mixture and non-mixture, Weibull latency.
mix <- function(th) { pi <- plogis(th[1] + th[2] * x); s <- exp(th[4]); z <- (lt - th[3]) / s; lS <- -exp(z); lf <- z + lS - th[4] - lt
  -sum(ifelse(e == 1, log(1 - pi) + lf, log(pi + (1 - pi) * exp(lS)))) }
fit("gbsg_mixture", mix, c(0, 0.3, 1, -0.3))
non <- function(th) { l <- th[1] + th[2] * x; s <- exp(th[4]); z <- (lt - th[3]) / s; F <- -expm1(-exp(z)); lf <- z - exp(z) - th[4] - lt; -sum(e * (l + lf) - exp(l) * F) }
fit("gbsg_nonmixture", non, c(0, -0.3, 1, -0.3))
w(do.call(rbind, R), "parametric_reference.csv")
