#!/usr/bin/env Rscript
# Oracles of the random-effects kernels: BCG vaccine trials (Colditz et al. 1994, 13 studies), log risk ratios.
# Writes bcg.csv and meta_reference.csv. Usage, in this folder: Rscript meta.R
suppressMessages({ library(metafor); library(metadat) })
R <- list()
add <- function(block, stat, value) R[[length(R) + 1]] <<- data.frame(block, stat, value = sprintf("%.17g", value))
d <- escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
write.csv(data.frame(study = paste0("T", d$trial), yi = sprintf("%.17g", d$yi), vi = sprintf("%.17g", d$vi)), "bcg.csv", row.names = FALSE, quote = FALSE)
ctl <- list(threshold = 1e-14, maxiter = 1000, tol = 1e-14)
for (m in c("EE", "DL", "REML", "PM")) for (test in c("z", "knha", "adhoc")) {
  if (m == "EE" && test != "z") next
  f <- if (m == "EE") rma(yi, vi, data = d, method = "EE") else rma(yi, vi, data = d, method = m, test = test, control = ctl)
  b <- paste(m, test)
  add(b, "estimate", f$beta[1]); add(b, "se", f$se); add(b, "low", f$ci.lb); add(b, "high", f$ci.ub); add(b, "p", f$pval)
  add(b, "tau2", f$tau2); add(b, "I2", f$I2 / 100); add(b, "H2", f$H2); add(b, "Q", f$QE); add(b, "Qp", f$QEp)
  if (m == "REML" && test == "z") add(b, "se_tau2", f$se.tau2)
}
ci <- confint(rma(yi, vi, data = d, method = "REML"), control = list(tol = 1e-13))$random
add("Qprofile", "low", ci["tau^2", "ci.lb"]); add("Qprofile", "high", ci["tau^2", "ci.ub"])
write.csv(do.call(rbind, R), "meta_reference.csv", row.names = FALSE, quote = FALSE)
