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
write.csv(do.call(rbind, R), "profile_reference.csv", row.names = FALSE, quote = FALSE)
