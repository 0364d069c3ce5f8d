#!/usr/bin/env Rscript
# Reference answers of the Wilms study: nwtco.csv and nwtco_split_key.csv in, nwtco_reference.csv out.
# Usage, in this folder: Rscript nwtco.R
suppressMessages(library(survival))
num <- function(x) format(x, digits = 12, scientific = FALSE, trim = TRUE)
canon <- merge(read.csv("nwtco.csv"), read.csv("nwtco_split_key.csv"), by = "seqno")
canon <- canon[order(canon$seqno), ]
canon$uh_c <- as.integer(canon$hist_central == "UH"); canon$uh_l <- as.integer(canon$hist_local == "UH")
canon$n4 <- as.integer(canon$study == "NWTS-4"); canon$st <- factor(canon$stage)
R <- list()
add <- function(block, scope, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, scope, term, stat, value = num(value))
for (k in c("ALL", sort(unique(canon$country)))) {
  d <- if (k == "ALL") canon else canon[canon$country == k, ]
  add("counts", k, "n", "n", nrow(d)); add("counts", k, "relapse", "n", sum(d$relapse))
  add("counts", k, "uh_central", "n", sum(d$uh_c)); add("counts", k, "uh_local", "n", sum(d$uh_l))
  add("counts", k, "persondays", "sum", sum(d$time_days))
  for (s in 1:4) add("counts", k, paste0("stage", s), "n", sum(d$stage == s))
  f <- survfit(Surv(time_days, relapse) ~ 1, d, conf.type = "log-log")
  s <- summary(f, times = c(1, 2, 5) * 365.25, extend = TRUE)
  for (i in 1:3) {
    y <- paste0("rfs_", c(1, 2, 5)[i], "y")
    add("km", k, y, "surv", s$surv[i]); add("km", k, y, "se_greenwood", s$std.err[i])
    add("km", k, y, "lo95_loglog", s$lower[i]); add("km", k, y, "hi95_loglog", s$upper[i]); add("km", k, y, "at_risk", s$n.risk[i])
  }
}
cox <- function(block, scope, fit) {
  b <- summary(fit)$coefficients
  for (t in rownames(b)) { add(block, scope, t, "coef", b[t, "coef"]); add(block, scope, t, "se", b[t, "se(coef)"]) }
  add(block, scope, "model", "loglik_null", fit$loglik[1]); add(block, scope, "model", "loglik", fit$loglik[2])
}
for (tie in c("breslow", "efron")) {
  cox(paste0("cox_", tie, "_pooled_stratified_by_country"), "ALL",
    coxph(Surv(time_days, relapse) ~ uh_c + st + age_years + n4 + strata(country), canon, ties = tie))
  cox(paste0("cox_", tie, "_pooled_unstratified"), "ALL", coxph(Surv(time_days, relapse) ~ uh_c + st + age_years + n4, canon, ties = tie))
}
cox("cox_efron_local_histology_stratified", "ALL", coxph(Surv(time_days, relapse) ~ uh_l + st + age_years + n4 + strata(country), canon))
meta <- function(nm, b, se, lab) {
  wt <- 1 / se^2; fe <- sum(wt * b) / sum(wt); Q <- sum(wt * (b - fe)^2); k <- length(b); C <- sum(wt) - sum(wt^2) / sum(wt)
  t2 <- max(0, (Q - (k - 1)) / C); ws <- 1 / (se^2 + t2); re <- sum(ws * b) / sum(ws)
  for (i in seq_along(b)) { add(nm, lab[i], "logHR", "coef", b[i]); add(nm, lab[i], "logHR", "se", se[i]) }
  add(nm, "ALL", "fixed", "coef", fe); add(nm, "ALL", "fixed", "se", sqrt(1 / sum(wt)))
  add(nm, "ALL", "random_DL", "coef", re); add(nm, "ALL", "random_DL", "se", sqrt(1 / sum(ws)))
  add(nm, "ALL", "heterogeneity", "Q", Q); add(nm, "ALL", "heterogeneity", "df", k - 1)
  add(nm, "ALL", "heterogeneity", "p", pchisq(Q, k - 1, lower.tail = FALSE))
  add(nm, "ALL", "heterogeneity", "tau2_DL", t2); add(nm, "ALL", "heterogeneity", "I2", max(0, (Q - (k - 1)) / Q))
}
for (v in c("uh_c", "uh_l")) {
  ks <- sort(unique(canon$country)); b <- se <- c()
  for (k in ks) {
    f <- coxph(as.formula(paste0("Surv(time_days,relapse)~", v, "+st+age_years+n4")), canon[canon$country == k, ])
    b <- c(b, coef(f)[v]); se <- c(se, sqrt(vcov(f)[v, v]))
  }
  meta(paste0("two_stage_meta_", v), unname(b), unname(se), ks)
}
add("logrank_uh_c_stratified", "ALL", "chisq", "value", survdiff(Surv(time_days, relapse) ~ uh_c + strata(country), canon)$chisq)
tab <- table(local = canon$hist_local, central = canon$hist_central)
for (i in rownames(tab)) for (j in colnames(tab)) add("local_vs_central", "ALL", paste0("local_", i, "__central_", j), "n", tab[i, j])
po <- sum(diag(tab)) / sum(tab); pe <- sum(rowSums(tab) * colSums(tab)) / sum(tab)^2
add("local_vs_central", "ALL", "kappa", "value", (po - pe) / (1 - pe))
add("local_vs_central", "ALL", "sens_UH", "value", tab["UH", "UH"] / sum(tab[, "UH"]))
add("local_vs_central", "ALL", "spec_FH", "value", tab["FH", "FH"] / sum(tab[, "FH"]))
write.csv(do.call(rbind, R), "nwtco_reference.csv", row.names = FALSE, quote = FALSE)
