#!/usr/bin/env Rscript
# Oracles of the likelihood-curve model on lung split into five sites (lung.csv). Writes profile_reference.csv. Usage, in this folder: Rscript profile.R
suppressMessages(library(survival))
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
d <- read.csv("lung.csv"); d$female <- d$sex - 1
ctl <- coxph.control(eps = 1e-14, iter.max = 100)
at <- function(b, data, f) coxph(f, data = data, init = b, control = coxph.control(iter.max = 0))$loglik[2]
# One effect, no nuisance: the stratified Cox model.
fit <- coxph(Surv(time, event) ~ female + strata(site), d, control = ctl)
ll <- function(b) sum(sapply(split(d, d$site), function(s) at(b, s, Surv(time, event) ~ female)))
top <- ll(coef(fit)); drop <- function(b) ll(b) - top + qchisq(.95, 1) / 2
add("sex", "female", "coef", coef(fit)); add("sex", "female", "se", sqrt(vcov(fit)))
add("sex", "female", "low", uniroot(drop, c(-2, coef(fit)), tol = 1e-12)$root); add("sex", "female", "high", uniroot(drop, c(coef(fit), 2), tol = 1e-12)$root)
add("sex", "female", "lr", 2 * (top - ll(0)))
# Nuisance coefficients of each site's own.
fit <- coxph(Surv(time, event) ~ female + (age + ecog):factor(site) + strata(site), d, control = ctl)
add("adjusted", "female", "coef", coef(fit)["female"]); add("adjusted", "female", "se", sqrt(vcov(fit)["female", "female"]))
# Effects drawn from a normal distribution: each site's likelihood is integrated.
sites <- split(d, d$site)
marg <- function(mu, tau) sum(sapply(sites, function(s) { f <- function(b) sapply(b, function(x) at(x, s, Surv(time, event) ~ female))
  m <- optimize(function(b) f(b) + dnorm(b, mu, tau, log = TRUE), c(-6, 6), maximum = TRUE)$objective
  m + log(integrate(function(b) exp(f(b) + dnorm(b, mu, tau, log = TRUE) - m), mu - 9 * tau, mu + 9 * tau, rel.tol = 1e-9, subdivisions = 400)$value) }))
for (mu in c(-1, -0.5, 0.5)) for (tau in c(0.25, 1)) add("marginal", mu, tau, marg(mu, tau) - top)
# Eight sites whose effects differ: mean and standard deviation by maximum likelihood, each site's likelihood integrated on a fine grid.
set.seed(11); h <- do.call(rbind, lapply(1:8, function(s) { n <- 60; arm <- rbinom(n, 1, .5); b <- rnorm(1, -0.5, 1.2); t <- rexp(n, exp(-6.5 + b * arm)); c0 <- runif(n, 200, 1500)
  data.frame(time = ceiling(pmin(t, c0)), event = as.integer(t <= c0), arm = arm, site = paste0("S", s)) })); write.csv(h, "hetero.csv", row.names = FALSE, quote = FALSE)
hs <- split(h, h$site); g <- seq(-9, 9, by = 0.01); L <- sapply(hs, function(s) sapply(g, function(b) at(b, s, Surv(time, event) ~ arm)))
mg <- function(p) { w <- dnorm(g, p[1], max(p[2], 0.02)); sum(apply(L, 2, function(l) { m <- max(l + log(w)); m + log(sum(exp(l + log(w) - m)) * 0.01) })) }
o <- optim(c(-0.5, 0.6), function(p) -mg(c(p[1], exp(p[2]))), control = list(reltol = 1e-14, maxit = 5000)); mu <- o$par[1]; tau <- exp(o$par[2]); top <- -o$value
common <- function(b) sum(sapply(hs, function(s) at(b, s, Surv(time, event) ~ arm))); c1 <- optimize(common, c(-2, 1), maximum = TRUE, tol = 1e-10)$objective
prof <- function(m) -optimize(function(lt) -mg(c(m, exp(lt))), c(-4, 1.2), tol = 1e-10)$objective - top + qchisq(.95, 1) / 2
add("hetero", "mean", "estimate", mu); add("hetero", "tau", "estimate", tau); add("hetero", "tau", "statistic", 2 * (top - c1))
add("hetero", "mean", "conf_low", uniroot(prof, c(mu - 2, mu), tol = 1e-9)$root); add("hetero", "mean", "conf_high", uniroot(prof, c(mu, mu + 2), tol = 1e-9)$root)
proft <- function(t) -optimize(function(m) -mg(c(m, t)), c(-3, 2), tol = 1e-10)$objective - top + qchisq(.95, 1) / 2
if (proft(0.01) < 0) add("hetero", "tau", "conf_low", uniroot(proft, c(0.01, tau), tol = 1e-9)$root); add("hetero", "tau", "conf_high", uniroot(proft, c(tau, 4), tol = 1e-9)$root)
write.csv(do.call(rbind, R), "profile_reference.csv", row.names = FALSE, quote = FALSE)
