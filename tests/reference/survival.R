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
for (type in c("logit", "arcsin")) km(paste0("km_aml_", type), survfit(Surv(time, event) ~ 1, aml, conf.type = type), c(9, 23, 31))
for (ct in 1:2) { f <- survfit(Surv(time, event) ~ 1, aml, stype = 2, ctype = ct); for (i in which(f$n.event > 0)) {
  add(paste0("cumhaz_aml_", ct), f$time[i], "cumhaz", f$cumhaz[i]); add(paste0("cumhaz_aml_", ct), f$time[i], "se", f$std.chaz[i]); add(paste0("cumhaz_aml_", ct), f$time[i], "surv", f$surv[i]) } }
# Conditional survival: late entry at the condition is the same thing.
d <- lung[lung$time > 180, ]; f <- survfit(Surv(rep(180, nrow(d)), d$time, d$event) ~ 1, conf.type = "log-log"); s <- summary(f, times = 365)
for (n in c("surv", "std.err", "lower", "upper")) add("conditional_lung", "180", n, s[[n]])
# Weighted log-rank tests by their definition; survdiff has rho only.
wlr <- function(block, d, g, wt) { t <- sort(unique(d$time[d$event == 1])); lev <- sort(unique(d[[g]])); k <- length(lev); U <- rep(0, k); V <- matrix(0, k, k); S <- 1; P <- 1
  for (u in t) { n <- sapply(lev, function(l) sum(d$time >= u & d[[g]] == l)); o <- sapply(lev, function(l) sum(d$time == u & d$event == 1 & d[[g]] == l)); N <- sum(n); D <- sum(o)
    P <- P * (1 - D / (N + 1)); w1 <- switch(wt, gehan = N, tarone = sqrt(N), peto = P, fh01 = 1 - S, fh11 = S * (1 - S), lr = 1)
    U <- U + w1 * (o - D * n / N); if (N > 1) V <- V + w1^2 * D * (N - D) / (N - 1) * (diag(n / N, k) - outer(n / N, n / N)); S <- S * (1 - D / N) }
  add(block, wt, "chisq", U[-1] %*% solve(V[-1, -1], U[-1])); c1 <- seq_len(k); add(block, wt, "trend", (c1 %*% U)^2 / (c1 %*% V %*% c1)) }
for (wt in c("lr", "gehan", "tarone", "peto", "fh01", "fh11")) { wlr("wlr_aml", aml, "group", wt); wlr("wlr_veteran", vet, "celltype", wt) }
p <- survival::pbc[1:312, ]; p <- data.frame(time = p$time, event = as.integer(p$status == 2), arm = p$trt); w(p, "pbc.csv")
for (a in 1:2) { m <- summary(survfit(Surv(time / 365.25, event) ~ 1, p[p$arm == a, ]), rmean = 10)$table; add("rmst_pbc", a, "mean", m["rmean"]); add("rmst_pbc", a, "se", m["se(rmean)"]) }
l2 <- survival::lung; l2 <- data.frame(time = l2$time, event = l2$status - 1, age = l2$age, sex = l2$sex, ecog = l2$ph.ecog); w(l2, "lung_all.csv")
m <- summary(survfit(Surv(time, event) ~ 1, l2), rmean = 365)$table; add("rmst_lung", "365", "mean", m["rmean"]); add("rmst_lung", "365", "se", m["se(rmean)"])
w(do.call(rbind, R), "survival_reference.csv")
