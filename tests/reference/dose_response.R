# Two-stage dose-response: covariances of Greenland and Longnecker (1992) written out, second stage by metafor.
suppressMessages(library(metafor))
R <- list(); add <- function(...) R[[length(R) + 1]] <<- data.frame(case = ..1, what = ..2, stat = ..3, value = sprintf("%.17g", ..4))
d <- read.csv("doses.csv"); d$std_error[is.na(d$std_error)] <- 0; d$estimate[is.na(d$estimate)] <- 0
cov1 <- function(x) { r <- x$std_error == 0; o <- c(which(r), which(!r)); x <- x[o, ]; y <- x$estimate; N <- x$n; M <- sum(x$cases)
  if (x$design[1] == "cc") { f <- function(t) sum(N * exp(t + y) / (1 + exp(t + y))) - M; t <- uniroot(f, c(-30, 30), tol = 1e-15)$root; A <- N * exp(t + y) / (1 + exp(t + y)); s <- 1 / A + 1 / (N - A) } else { A <- M * exp(y) * N / sum(exp(y) * N); s <- if (x$design[1] == "ci") 1 / A - 1 / N else 1 / A }
  k <- length(y) - 1; C <- matrix(s[1], k, k) / sqrt(outer(s[1] + s[-1], s[1] + s[-1])); diag(C) <- 1; list(y = y[-1], d = x$dose[-1], d0 = x$dose[1], V = C * outer(x$std_error[-1], x$std_error[-1])) }
S <- lapply(split(d, d$study), cov1); gls <- function(s, f) { X <- f(s$d) - matrix(f(s$d0), length(s$d), length(f(s$d0)), byrow = TRUE); W <- solve(s$V); V <- solve(t(X) %*% W %*% X); b <- V %*% t(X) %*% W %*% s$y; list(b = drop(b), V = V, q = sum((s$y - X %*% b) * (W %*% (s$y - X %*% b)))) }
L <- lapply(S, gls, function(x) cbind(x)); for (n in names(L)) { add(n, "slope", "estimate", L[[n]]$b); add(n, "slope", "se", sqrt(L[[n]]$V)); add(n, "slope", "q", L[[n]]$q) }
m <- rma(sapply(L, function(l) l$b), sapply(L, function(l) l$V), control = list(threshold = 1e-12, maxiter = 1000)); add("pooled", "slope", "estimate", m$b); add("pooled", "slope", "se", m$se); add("pooled", "slope", "tau2", m$tau2); add("pooled", "slope", "q", m$QE)
all <- sort(d$dose); k <- quantile(all, c(.1, .5, .9), names = FALSE); rcs <- function(x) { p <- function(u) pmax(u, 0)^3; cbind(x, (p(x - k[1]) - p(x - k[2]) * (k[3] - k[1]) / (k[3] - k[2]) + p(x - k[3]) * (k[2] - k[1]) / (k[3] - k[2])) / (k[3] - k[1])^2) }
P <- lapply(S, gls, rcs); y <- unlist(lapply(P, function(p) p$b)); V <- bldiag(lapply(P, function(p) p$V)); z <- data.frame(y, study = rep(names(P), each = 2), term = rep(c("a", "b"), length(P)))
f <- rma.mv(y, V, mods = ~ 0 + term, random = ~ term | study, struct = "UN", data = z, control = list(optimizer = "optim", optmethod = "Nelder-Mead", reltol = 1e-16, maxit = 50000)); add("pooled", "spline", "dose", coef(f)[1]); add("pooled", "spline", "bend", coef(f)[2]); add("pooled", "spline", "dose_se", f$se[1]); add("pooled", "spline", "bend_se", f$se[2]); add("pooled", "spline", "log_likelihood", logLik(f))
for (x in c(5, 20)) { g <- drop(rcs(x) - rcs(0)); add("predict", x, "spline", exp(sum(g * coef(f)))); add("predict", x, "line", exp(x * coef(m))); add("predict", x, "line_low", exp(x * (coef(m) - qnorm(.975) * m$se))) }
write.csv(do.call(rbind, R), "dose_response_reference.csv", row.names = FALSE, quote = FALSE)
