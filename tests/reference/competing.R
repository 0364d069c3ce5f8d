#!/usr/bin/env Rscript
# Oracles of competing risks on mgus2 (survival): cuminc and crr (cmprsk), survfit. Writes mgus2.csv and competing_reference.csv.
# Usage, in this folder: Rscript competing.R
suppressMessages({ library(survival); library(cmprsk) })
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
w <- function(d, file) write.csv(d, file, row.names = FALSE, quote = FALSE, na = "")
m <- survival::mgus2
d <- data.frame(time = ifelse(m$pstat == 1, m$ptime, m$futime), cause = ifelse(m$pstat == 1, 1, 2 * m$death), sex = as.character(m$sex), age = m$age, site = as.integer(m$id %% 5))
w(d, "mgus2.csv")
ci <- cuminc(d$time, d$cause); tp <- timepoints(ci, c(60, 120, 240))
for (k in 1:2) for (j in 1:3) { add("cuminc", paste0(k, "_", c(60, 120, 240)[j]), "est", tp$est[k, j]); add("cuminc", paste0(k, "_", c(60, 120, 240)[j]), "var", tp$var[k, j]) }
g <- cuminc(d$time, d$cause, d$sex)$Tests; for (k in 1:2) { add("gray", k, "stat", g[k, "stat"]); add("gray", k, "p", g[k, "pv"]) }
g <- cuminc(d$time, d$cause, d$sex, rho = 1)$Tests; for (k in 1:2) add("gray_rho1", k, "stat", g[k, "stat"])
g <- cuminc(d$time, d$cause, cut(d$age, c(0, 60, 75, 200)))$Tests; for (k in 1:2) add("gray_age", k, "stat", g[k, "stat"])
g <- cuminc(d$time, d$cause, d$sex, strata = d$site)$Tests; for (k in 1:2) add("gray_strata", k, "stat", g[k, "stat"])
f <- summary(survfit(Surv(time, factor(cause, 0:2)) ~ 1, d), times = c(60, 120, 240))
for (k in 1:2) for (j in 1:3) add("survfit", paste0(k, "_", c(60, 120, 240)[j]), "se", f$std.err[j, k + 1])
x <- cbind(age = d$age, male = as.numeric(d$sex == "M"))
for (k in 1:2) { f <- crr(d$time, d$cause, x, failcode = k, gtol = 1e-13, maxiter = 50)
  for (n in 1:2) { add(paste0("crr_", k), colnames(x)[n], "coef", f$coef[n]); add(paste0("crr_", k), colnames(x)[n], "se", sqrt(f$var[n, n])) }
  add(paste0("crr_", k), "model", "loglik", f$loglik); add(paste0("crr_", k), "model", "loglik_null", f$loglik.null) }
f <- coxph(Surv(time, cause == 1) ~ age + sex, d, control = coxph.control(eps = 1e-13, iter.max = 50))
for (n in 1:2) { add("cause_cox", n, "coef", coef(f)[n]); add("cause_cox", n, "se", sqrt(vcov(f)[n, n])) }
w(do.call(rbind, R), "competing_reference.csv")
