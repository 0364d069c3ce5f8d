#!/usr/bin/env Rscript
# Oracles of the options of meta-analysis by metafor: tests of common effects, weights of one's own, corrections in Q of Mantel and
# Haenszel, prediction intervals, Begg's test with ties, corrected effects, covariances within studies. Writes
# meta_options_reference.csv and the data. Usage, in this folder: Rscript meta_options.R
suppressMessages({ library(metafor); library(metadat) })
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
num <- function(x) sprintf("%.17g", x)
d <- escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg); w <- d$tpos + d$tneg
ctl <- list(threshold = 1e-14, maxiter = 5000, tol = 1e-14, stepadj = .5)
row <- function(block, term, f) { add(block, term, "estimate", f$beta[1]); add(block, term, "std_error", f$se); add(block, term, "conf_low", f$ci.lb); add(block, term, "conf_high", f$ci.ub); add(block, term, "p_value", f$pval) }
for (t in c("z", "t", "knha", "adhoc")) { row("bcg EE", t, suppressWarnings(rma(yi, vi, data = d, method = "EE", test = t)))
  f <- rma(yi, vi, data = d, test = t, control = ctl); row("bcg REML", t, f); p <- predict(f); add("bcg REML", t, "pred_low", p$pi.lb); add("bcg REML", t, "pred_high", p$pi.ub)
  row("bcg GENQ", t, rma(yi, vi, data = d, method = "GENQ", weights = w, test = t)) }
# Mantel and Haenszel with corrected effects of single studies, of which one has an empty cell.
z <- data.frame(study = c("A", "B", "C"), events1 = c(0, 3, 5), n1 = c(10, 10, 12), events2 = c(2, 2, 1), n2 = c(10, 12, 12)); write.csv(z, "meta_empty_cell.csv", row.names = FALSE, quote = FALSE)
for (m in c("OR", "RR", "RD")) for (to in c("none", "only0", "all")) { f <- suppressWarnings(rma.mh(measure = m, ai = events1, n1i = n1, ci = events2, n2i = n2, data = z, add = c(.25, 0), to = c(to, "none"))); add(paste("MH", m), to, "estimate", f$beta[1]); add(paste("MH", m), to, "q", f$QE) }
for (m in c("OR", "RR", "RD", "PETO", "AS")) { e <- escalc(m, ai = events1, n1i = n1, ci = events2, n2i = n2, data = z, add = .25, to = "all"); for (i in 1:3) { add(paste("all", m), z$study[i], "estimate", e$yi[i]); add(paste("all", m), z$study[i], "std_error", sqrt(e$vi[i])) } }
for (m in c("PR", "PLN", "PLO", "PAS", "PFT")) { e <- escalc(m, xi = events1, ni = n1, data = z, add = .25, to = "all"); for (i in 1:3) { add(paste("all", m), z$study[i], "estimate", e$yi[i]); add(paste("all", m), z$study[i], "std_error", sqrt(e$vi[i])) } }
# Ties among variances, and among standardised effects too.
b <- data.frame(study = paste0("S", 1:14), estimate = c(.1, .3, -.2, .45, .2, .2, .62, -.1, .33, .8, .05, .5, .2, -.33), std_error = sqrt(c(.04, .04, .09, .09, .16, .16, .16, .25, .25, .3, .02, .3, .16, .5))); write.csv(data.frame(study = b$study, estimate = num(b$estimate), std_error = num(b$std_error)), "meta_ties.csv", row.names = FALSE, quote = FALSE)
k <- ranktest(b$estimate, sei = b$std_error); add("begg", "ties", "statistic", k$tau); add("begg", "ties", "p_value", k$pval)
set.seed(7); n <- 75; y <- round(rnorm(n), 6); s <- round(.1 + runif(n), 6); write.csv(data.frame(study = paste0("S", 1:n), estimate = num(y), std_error = num(s)), "meta_many.csv", row.names = FALSE, quote = FALSE); k <- ranktest(y, sei = s); add("begg", "75 studies", "statistic", k$tau); add("begg", "75 studies", "p_value", k$pval)
# Berkey et al. (1998): covariances of two outcomes within each trial.
k <- dat.berkey1998; write.csv(data.frame(study = k$trial, outcome = k$outcome, estimate = k$yi, std_error = num(sqrt(k$vi))), "berkey.csv", row.names = FALSE, quote = FALSE)
o <- k[k$outcome == "PD", ]; write.csv(data.frame(study = o$trial, outcome = "PD", with = "AL", covariance = o$v2i), "berkey_covariance.csv", row.names = FALSE, quote = FALSE)
V <- vcalc(vi = 1, cluster = trial, rvars = c(v1i, v2i), data = k)
for (m in c("REML", "ML")) { f <- rma.mv(yi, V, mods = ~ 0 + outcome, random = ~ outcome | trial, struct = "UN", data = k, method = m, control = list(optimizer = "optim", optmethod = "BFGS", reltol = 1e-16, maxit = 5000)); for (j in 1:2) { add(paste("berkey", m), sub("outcome", "", rownames(f$beta)[j]), "estimate", f$beta[j]); add(paste("berkey", m), sub("outcome", "", rownames(f$beta)[j]), "std_error", f$se[j]) }; add(paste("berkey", m), "fit", "log_likelihood", as.numeric(logLik(f))) }
write.csv(do.call(rbind, R), "meta_options_reference.csv", row.names = FALSE, quote = FALSE)
