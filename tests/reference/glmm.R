#!/usr/bin/env Rscript
# Oracle of random-effects logistic models with random study levels: the likelihood written out with an adaptive product rule, one node
# (Laplace's approximation) and nine, its maximum by Newton's method and the inverse of its Hessian. Writes glmm_reference.csv and the data.
# Usage, in this folder: Rscript glmm.R
suppressMessages({ library(metafor); library(metadat); library(numDeriv) })
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
d <- dat.collins1985b; z <- data.frame(study = d$id, events1 = d$pre.xti, n1 = d$pre.nti, events2 = d$pre.xci, n2 = d$pre.nci); write.csv(z, "collins.csv", row.names = FALSE, quote = FALSE)
rule <- function(n) { if (n == 1) return(list(z = 0, w = 1)); J <- matrix(0, n, n); for (i in 1:(n - 1)) J[i, i + 1] <- J[i + 1, i] <- sqrt(i); e <- eigen(J, symmetric = TRUE); list(z = e$values, w = e$vectors[1, ]^2) }
one <- function(i, th, gh) { mu <- th[1]; tau <- exp(th[2]); l0 <- th[3]; sg <- exp(th[4]); s <- z[i, ]
  arms <- function(u) { a <- l0 + sg * u[2]; e <- mu + tau * u[1]; c(a + e / 2, a - e / 2) }
  g <- function(u) { x <- arms(u); dbinom(s$events1, s$n1, plogis(x[1]), TRUE) + dbinom(s$events2, s$n2, plogis(x[2]), TRUE) - sum(u^2) / 2 }
  hess <- function(b) matrix(c(tau^2 / 4 * sum(b) - 1, tau * sg / 2 * (b[1] - b[2]), tau * sg / 2 * (b[1] - b[2]), sg^2 * sum(b) - 1), 2)
  u <- c(0, 0); for (k in 1:60) { p <- plogis(arms(u)); r <- c(s$events1, s$events2) - c(s$n1, s$n2) * p; st <- solve(hess(-c(s$n1, s$n2) * p * (1 - p)), c(tau / 2 * (r[1] - r[2]) - u[1], sg * sum(r) - u[2])); st <- st * min(1, 3 / max(abs(st))); u <- u - st; if (max(abs(st)) < 1e-12) break }
  p <- plogis(arms(u)); L <- t(chol(solve(-hess(-c(s$n1, s$n2) * p * (1 - p))))); k <- expand.grid(seq_along(gh$z), seq_along(gh$z)); v <- apply(k, 1, function(k) { x <- gh$z[k]; log(gh$w[k[1]]) + log(gh$w[k[2]]) + sum(x^2) / 2 + g(u + L %*% x) }); max(v) + log(sum(exp(v - max(v)))) + log(det(L)) }
f <- suppressWarnings(rma.glmm(measure = "OR", ai = events1, n1i = n1, ci = events2, n2i = n2, data = z, model = "UM.RS", nAGQ = 1)); add("collins UM.RS", "lme4", "estimate", f$beta); add("collins UM.RS", "lme4", "std_error", f$se)
for (n in c(1, 9)) { gh <- rule(n); F <- function(th) -sum(sapply(seq_len(nrow(z)), one, th = th, gh = gh)); p <- optim(c(f$beta, log(.5137), -2.8, log(1.164)), F, control = list(reltol = 1e-13, maxit = 2000))$par; for (k in 1:3) p <- p - solve(hessian(F, p), grad(F, p)); V <- solve(hessian(F, p)); add("collins UM.RS", n, "estimate", p[1]); add("collins UM.RS", n, "std_error", sqrt(V[1, 1])); add("collins UM.RS", n, "tau2", exp(2 * p[2])); add("collins UM.RS", n, "log_likelihood", -F(p)) }
write.csv(do.call(rbind, R), "glmm_reference.csv", row.names = FALSE, quote = FALSE)
