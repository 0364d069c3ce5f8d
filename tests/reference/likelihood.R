#!/usr/bin/env Rscript
# Oracles of what fitted likelihoods give beyond their coefficients: late entry, hazard ratios and predictions with their standard
# errors, varying effects, cured shares, a smooth excess hazard. Each likelihood is written out and maximised by Newton's method on
# numerical derivatives. Writes likelihood_reference.csv. Usage, in this folder, after parametric.R and net_survival.R: Rscript likelihood.R
suppressMessages({ library(survival); library(numDeriv); library(relsurv) })
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
G <- function(f, th) grad(f, th, method.args = list(r = 6)); H <- function(f, th) hessian(f, th, method.args = list(r = 6))
fit <- function(block, nll, start, steps = 6) { o <- optim(start, nll, method = "BFGS", control = list(reltol = 1e-15, maxit = 2000)); th <- o$par
  for (i in seq_len(steps)) th <- th - solve(H(nll, th), G(nll, th)); V <- solve(H(nll, th))
  for (n in seq_along(th)) { add(block, n, "coef", th[n]); add(block, n, "se", sqrt(V[n, n])) }; add(block, "model", "loglik", -nll(th)); list(th = th, V = V) }
delta <- function(block, term, f, m) { g <- G(f, m$th); add(block, term, "estimate", f(m$th)); add(block, term, "std_error", sqrt(drop(g %*% m$V %*% g))) }
gb <- read.csv("gbsg.csv"); d <- ifelse(gb$age >= 55, gb$time %/% 4, 0); t <- gb$time / 365.25; a <- d / 365.25; e <- gb$event; x <- gb$hormon; lt <- log(t); la <- log(a)
late <- a > 0
# Weibull with late entry: its survival at entry divides.
Hw <- function(th, time, x) exp((log(time) - th[1] - th[2] * x) / exp(th[3]))
wei <- function(th) { h <- Hw(th, t, x); -sum(e * (log(h) - th[3] - lt) - h + ifelse(late, Hw(th, a, x), 0)) }
m <- fit("weibull", wei, c(2, 0.3, -0.2)); delta("weibull", "hazard_ratio", function(th) -th[2] / exp(th[3]), m)
for (y in c(1, 5)) delta("weibull", y, function(th) exp(-Hw(th, y, 1)), m)
# Royston–Parmar: one inner knot, an effect that varies over log time with one inner knot of its own, late entry.
B <- function(x, kn) { k <- length(kn); cu <- function(u) pmax(u, 0)^3; B <- cbind(1, x); if (k > 2) for (j in 2:(k - 1)) { l <- (kn[k] - kn[j]) / (kn[k] - kn[1]); B <- cbind(B, cu(x - kn[j]) - l * cu(x - kn[1]) - (1 - l) * cu(x - kn[k])) }; B }
D <- function(x, kn) { k <- length(kn); cu <- function(u) 3 * pmax(u, 0)^2; B <- cbind(0 * x, 1 + 0 * x); if (k > 2) for (j in 2:(k - 1)) { l <- (kn[k] - kn[j]) / (kn[k] - kn[1]); B <- cbind(B, cu(x - kn[j]) - l * cu(x - kn[1]) - (1 - l) * cu(x - kn[k])) }; B }
kn <- quantile(lt[e == 1], c(0, 0.5, 1)); kv <- kn[1] + (kn[3] - kn[1]) * c(0, 0.5, 1)
row <- function(lt, x) cbind(B(lt, kn), x, x * B(lt, kv)[, -1, drop = FALSE]); slope <- function(lt, x) cbind(D(lt, kn), 0 * x, x * D(lt, kv)[, -1, drop = FALSE])
Z <- row(lt, x); S <- slope(lt, x); Za <- row(ifelse(late, la, 0), x)
rp <- function(th) { s <- drop(Z %*% th); d <- drop(S %*% th); if (any(d[e == 1] <= 0)) return(1e10); -sum(ifelse(e == 1, s + log(pmax(d, 1e-300)) - lt, 0) - exp(s) + ifelse(late, exp(drop(Za %*% th)), 0)) }
m <- fit("royston_parmar", rp, c(-2, 1.2, 0, -0.3, 0, 0), 10)
for (y in c(1, 5)) { delta("royston_parmar", y, function(th) exp(-exp(drop(row(log(y), 1) %*% th))), m)
  delta("time_varying", y, function(th) drop((row(log(y), 1) - row(log(y), 0)) %*% th), m) }
# Mixture cure with late entry.
Sw <- function(th, time, x) { pi <- plogis(th[1] + th[2] * x); pi + (1 - pi) * exp(-exp((log(time) - th[3]) / exp(th[4]))) }
mix <- function(th) { pi <- plogis(th[1] + th[2] * x); z <- (lt - th[3]) / exp(th[4]); lf <- z - exp(z) - th[4] - lt
  -sum(ifelse(e == 1, log(1 - pi) + lf, log(Sw(th, t, x))) - ifelse(late, log(Sw(th, a, x)), 0)) }
m <- fit("mixture", mix, c(0, 0.3, 1, -0.3)); delta("mixture", "share", function(th) plogis(th[1] + th[2]), m)
delta("mixture", "median", function(th) exp(th[3] + exp(th[4]) * log(log(2))), m); for (y in c(1, 5)) delta("mixture", y, function(th) Sw(th, y, 1), m)
non <- function(th) { l <- th[1] + th[2] * x; z <- (lt - th[3]) / exp(th[4]); F <- -expm1(-exp(z)); lf <- z - exp(z) - th[4] - lt; -sum(e * (l + lf) - exp(l) * F) }
m <- fit("nonmixture", non, c(0, -0.3, 1, -0.3)); delta("nonmixture", "share", function(th) exp(-exp(th[1] + th[2])), m)
# Excess hazard: rdata and slopop; integrals by 64 Gauss–Legendre nodes on each stretch.
rd <- read.csv("rdata.csv"); ct <- attr(slopop, "cutpoints"); arr <- unclass(slopop); yr <- 365.241
h <- arr[cbind(pmin(findInterval(rd$age_days + rd$time, ct[[1]]), 104), pmin(findInterval(rd$date + 3653 + rd$time, as.numeric(ct[[2]])), 45), rd$sex)] * yr
kn <- c(0.1, 1, 2.5, 5); end <- 5 * yr; ev <- rd$dead == 1 & rd$time <= end; u <- pmax(rd$time, 0.5) / yr; s <- as.numeric(rd$sex == 2)
hb <- function(x) { cu <- function(v) pmax(v, 0)^3; k <- 4; o <- cbind(1, x); for (j in 1:2) o <- cbind(o, (cu(x - kn[j]) - cu(x - kn[3]) * (kn[4] - kn[j]) / (kn[4] - kn[3]) + cu(x - kn[4]) * (kn[3] - kn[j]) / (kn[4] - kn[3])) / (kn[4] - kn[1])^2); unname(o) }
# Golub & Welsch: nodes are eigenvalues of the Jacobi matrix.
k <- 1:63; b <- k / sqrt(4 * k^2 - 1); J <- diag(0, 64); J[cbind(k, k + 1)] <- b; J[cbind(k + 1, k)] <- b; E <- eigen(J, symmetric = TRUE); node <- E$values; wt <- 2 * E$vectors[1, ]^2
excess <- function(block, cuts, base, start, varying) {
  full <- function(tt, s) { b <- base(tt); cbind(s, b, if (varying) s * b[, -1, drop = FALSE]) }
  lo <- c(0, cuts[-length(cuts)]); q <- do.call(rbind, lapply(seq_along(cuts), function(j) { b <- pmin(u, cuts[j]); on <- which(b > lo[j]); hw <- (b[on] - lo[j]) / 2
    data.frame(s = rep(s[on], each = 64), t = as.vector(outer(node, hw)) + rep((b[on] + lo[j]) / 2, each = 64), w = as.vector(outer(wt, hw))) }))
  Q <- full(q$t, q$s); X <- full(u[ev], s[ev])
  ll <- function(th) sum(log(exp(drop(X %*% th)) + h[ev])) - sum(q$w * exp(drop(Q %*% th)))
  th <- start; for (i in 1:25) { mq <- q$w * exp(drop(Q %*% th)); me <- exp(drop(X %*% th)); p <- me / (me + h[ev]); g <- colSums(X * p) - colSums(Q * mq)
    I <- crossprod(Q, Q * mq) - crossprod(X, X * (p * (1 - p))); st <- solve(I, g); while (!is.finite(ll(th + st)) || ll(th + st) < ll(th) - 1e-9) st <- st / 2; th <- th + st; if (max(abs(st)) < 1e-12) break }
  V <- solve(I); for (n in seq_along(th)) { add(block, n, "coef", th[n]); add(block, n, "se", sqrt(V[n, n])) }; add(block, "model", "loglik", ll(th)) }
excess("excess_spline", kn, hb, c(0, -2, 0, 0, 0), FALSE); excess("excess_spline_varying", kn, hb, c(0, -2, rep(0, 6)), TRUE)
cuts <- c(1, 3, 5); ind <- function(tt) sapply(1:3, function(j) as.numeric(pmin(findInterval(tt, cuts, left.open = TRUE) + 1, 3) == j))
excess("excess_bands_varying", cuts, ind, c(0, -2, -2, -2, 0, 0), TRUE)
write.csv(do.call(rbind, R), "likelihood_reference.csv", row.names = FALSE, quote = FALSE)
