#!/usr/bin/env Rscript
# Oracles of the survival models on data sets of the R package survival. Writes the rows used (aml, lung, veteran, heart)
# and survival_reference.csv. Usage, in this folder: Rscript survival.R
suppressMessages(library(survival))
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
w <- function(d, file) write.csv(d, file, row.names = FALSE, quote = FALSE, na = "")
ctl <- coxph.control(eps = 1e-13, iter.max = 50)

aml <- data.frame(time = survival::aml$time, event = survival::aml$status, group = as.character(survival::aml$x)); w(aml, "aml.csv")
lung <- data.frame(inst = survival::lung$inst, time = survival::lung$time, event = survival::lung$status - 1, age = survival::lung$age,
  sex = survival::lung$sex, ecog = survival::lung$ph.ecog)
lung <- lung[complete.cases(lung), ]
lung$site <- paste0("S", as.integer(cut(lung$inst, c(0, 1, 5, 11, 13, 40)))); w(lung, "lung.csv")
vet <- survival::veteran; vet <- data.frame(trt = vet$trt, celltype = as.character(vet$celltype), time = vet$time, event = vet$status, karno = vet$karno)
w(vet, "veteran.csv")
# Half days become days; every row counts for itself, so that late entry is what is tested.
heart <- data.frame(start = 2 * survival::heart$start, stop = 2 * survival::heart$stop, event = survival::heart$event,
  age = survival::heart$age, surgery = survival::heart$surgery); w(heart, "heart.csv")

km <- function(block, fit, times) {
  s <- summary(fit, times = times)
  for (i in seq_along(times)) for (what in c("n.risk", "surv", "std.err", "lower", "upper")) add(block, times[i], what, s[[what]][i])
}
for (type in c("log-log", "log", "plain")) km(paste0("km_aml_", type), survfit(Surv(time, event) ~ 1, aml, conf.type = type), c(9, 23, 31, 45))
km("km_heart_late_entry", survfit(Surv(start, stop, event) ~ 1, heart, conf.type = "log-log"), c(30, 150, 600))
for (g in c("Maintained", "Nonmaintained")) {
  f <- survfit(Surv(time, event) ~ 1, aml[aml$group == g, ], conf.type = "log-log"); q <- quantile(f, c(.25, .5))
  for (i in 1:2) { p <- c("0.25", "0.5")[i]
    add(paste0("quantile_aml_", g), p, "estimate", q$quantile[i]); add(paste0("quantile_aml_", g), p, "low", q$lower[i]); add(paste0("quantile_aml_", g), p, "high", q$upper[i]) }
  m <- summary(f, rmean = 40)$table; add(paste0("rmst_aml_", g), "40", "mean", m["rmean"]); add(paste0("rmst_aml_", g), "40", "se", m["se(rmean)"])
}
diff <- function(block, f) { add(block, "all", "chisq", f$chisq); o <- if (is.matrix(f$obs)) rowSums(f$obs) else f$obs
  e <- if (is.matrix(f$exp)) rowSums(f$exp) else f$exp
  for (i in seq_along(o)) { add(block, names(f$n)[i], "observed", o[i]); add(block, names(f$n)[i], "expected", e[i]) } }
diff("logrank_aml", survdiff(Surv(time, event) ~ group, aml))
diff("logrank_aml_rho1", survdiff(Surv(time, event) ~ group, aml, rho = 1))
diff("logrank_lung", survdiff(Surv(time, event) ~ sex, lung))
diff("logrank_lung_by_site", survdiff(Surv(time, event) ~ sex + strata(site), lung))
diff("logrank_veteran", survdiff(Surv(time, event) ~ celltype, vet))

cox <- function(block, f, transforms = c()) {
  s <- summary(f); b <- s$coefficients
  for (t in rownames(b)) { add(block, t, "coef", b[t, "coef"]); add(block, t, "se", b[t, "se(coef)"]); add(block, t, "p", b[t, ncol(b)]) }
  add(block, "model", "loglik_null", f$loglik[1]); add(block, "model", "loglik", f$loglik[2])
  add(block, "model", "lr", s$logtest["test"]); add(block, "model", "wald", f$wald.test); add(block, "model", "score", s$sctest["test"])
  for (tr in transforms) { z <- cox.zph(f, transform = tr)$table; for (t in rownames(z)) add(paste0(block, "_zph_", tr), t, "chisq", z[t, "chisq"]) }
}
cox("cox_lung_efron", coxph(Surv(time, event) ~ age + sex + ecog, lung, control = ctl), c("km", "log", "identity"))
cox("cox_lung_breslow", coxph(Surv(time, event) ~ age + sex + ecog, lung, ties = "breslow", control = ctl))
cox("cox_lung_by_site", coxph(Surv(time, event) ~ age + sex + ecog + strata(site), lung, control = ctl), c("km", "log", "identity"))
cox("cox_lung_by_site_and_sex", coxph(Surv(time, event) ~ age + ecog + strata(site, sex), lung, control = ctl))
cox("cox_veteran", coxph(Surv(time, event) ~ trt + celltype + karno, vet, control = ctl), "km")
cox("cox_heart", coxph(Surv(start, stop, event) ~ age + surgery, heart, control = ctl), c("log", "identity"))
w(do.call(rbind, R), "survival_reference.csv")
