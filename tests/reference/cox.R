#!/usr/bin/env Rscript
# Oracles of the further Cox models on lung and veteran: exact ties, predicted and standardised survival, Firth, ridge, offset,
# weights, robust variance. Writes cox_reference.csv. Usage, in this folder, after survival.R: Rscript cox.R
suppressMessages({ library(survival); library(numDeriv) })
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
ctl <- coxph.control(eps = 1e-13, iter.max = 100)
lung <- read.csv("lung.csv"); lung$sex <- factor(lung$sex); lung$ecog <- factor(lung$ecog, 0:3)
vet <- read.csv("veteran.csv"); vet$celltype <- factor(vet$celltype, c("squamous", "smallcell", "adeno", "large")); vet$trt <- factor(vet$trt)
out <- function(block, f) { b <- coef(f); v <- sqrt(diag(as.matrix(vcov(f)))); for (n in names(b)) { add(block, n, "coef", b[n]); add(block, n, "se", v[n]) }; add(block, "model", "loglik", f$loglik[length(f$loglik)]) }
for (t in c("efron", "breslow", "exact")) out(paste0("veteran_", t), coxph(Surv(time, event) ~ celltype + trt, vet, ties = t, control = ctl))
f <- coxph(Surv(time, event) ~ celltype + trt, vet, control = ctl)
s <- summary(survfit(f, newdata = data.frame(celltype = "smallcell", trt = "2"), conf.type = "log-log"), times = c(60, 180))
for (k in 1:2) { add("predicted", c(60, 180)[k], "estimate", s$surv[k]); add("predicted", c(60, 180)[k], "std_error", s$std.err[k]); add("predicted", c(60, 180)[k], "conf_low", s$lower[k]); add("predicted", c(60, 180)[k], "conf_high", s$upper[k]) }
for (l in c("1", "2")) { d <- vet; d$trt <- factor(l, c("1", "2")); s <- summary(survfit(f, newdata = d), times = c(60, 180))$surv; for (k in 1:2) add("standardised", paste0(l, "_", c(60, 180)[k]), "estimate", mean(s[k, ])) }
# Firth: the penalised likelihood written out, maximised with numerical derivatives; stratified by site.
x <- model.matrix(~ sex + age, transform(lung, age = read.csv("lung.csv")$age))[, -1]
at <- function(b) { g <- coxph(Surv(lung$time, lung$event) ~ x + strata(lung$site), init = b, control = coxph.control(iter.max = 0)); list(l = g$loglik[2], i = solve(g$var)) }
pen <- function(b) { a <- at(b); a$l + 0.5 * as.numeric(determinant(a$i)$modulus) }
th <- coef(coxph(Surv(lung$time, lung$event) ~ x + strata(lung$site))); for (i in 1:8) th <- th - solve(hessian(pen, th), grad(pen, th))
add("firth", "sex2", "coef", th[1]); add("firth", "age", "coef", th[2]); top <- pen(th)
prof <- function(b) optimize(function(a) pen(c(b, a)), c(th[2] - 0.1, th[2] + 0.1), maximum = TRUE, tol = 1e-12)$objective - top + qchisq(.95, 1) / 2
add("firth", "sex2", "low", uniroot(prof, c(th[1] - 1.5, th[1]), tol = 1e-10)$root); add("firth", "sex2", "high", uniroot(prof, c(th[1], th[1] + 1.5), tol = 1e-10)$root)
rid <- function(b) at(b)$l - 0.5 * 5 * sum(b^2); th <- th; for (i in 1:8) th <- th - solve(hessian(rid, th), grad(rid, th))
add("ridge", "sex2", "coef", th[1]); add("ridge", "age", "coef", th[2])
# Offset, robust variance by site, time-varying effect in bands.
raw <- read.csv("lung.csv"); raw$female <- raw$sex - 1
out("offset", coxph(Surv(time, event) ~ female + offset(ecog) + strata(site), raw, control = ctl))
f <- coxph(Surv(time, event) ~ female + age + strata(site), raw, control = ctl)
u <- rowsum(residuals(f, "score"), raw$site); V <- vcov(f) %*% crossprod(u) %*% vcov(f); add("robust", "female", "se", sqrt(V[1, 1])); add("robust", "age", "se", sqrt(V[2, 2]))
# CR2 (Bell & McCaffrey): a site's score times M (1 - M^-1 I_g M^-T)^-1/2 M^-1, I = M M'.
ei <- eigen(solve(vcov(f)), symmetric = TRUE); M <- ei$vectors %*% diag(sqrt(ei$values)); S <- solve(M)
u2 <- t(sapply(rownames(u), function(g) { s <- raw[raw$site == g, ]; if (!any(s$event == 1)) return(c(0, 0))
  Ig <- apply(coxph.detail(coxph(Surv(time, event) ~ female + age, s, init = coef(f), control = coxph.control(iter.max = 0)))$imat, 1:2, sum)
  e2 <- eigen(diag(2) - S %*% matrix(Ig, 2) %*% t(S), symmetric = TRUE); drop(M %*% e2$vectors %*% diag(1 / sqrt(e2$values)) %*% t(e2$vectors) %*% S %*% u[g, ]) }))
V2 <- vcov(f) %*% crossprod(u2) %*% vcov(f); add("robust_cr2", "female", "se", sqrt(V2[1, 1])); add("robust_cr2", "age", "se", sqrt(V2[2, 2]))
fp <- coxph(Surv(time, event) ~ female + age + strata(site) + cluster(seq_along(time)), raw, control = ctl); add("robust_person", "female", "se", sqrt(vcov(fp)[1, 1])); add("robust_person", "age", "se", sqrt(vcov(fp)[2, 2]))
for (s in unique(raw$site)) { d <- raw[raw$site == s, ]; fs <- coxph(Surv(time, event) ~ female + age + cluster(seq_along(time)), d, control = ctl); add(paste0("robust_own_", s), "female", "se", sqrt(vcov(fs)[1, 1])) }
add("robust_person", "model", "wald", drop(coef(fp) %*% solve(vcov(fp)) %*% coef(fp)))
z <- cox.zph(coxph(Surv(time, event) ~ celltype + trt, vet, control = ctl), transform = "identity", terms = FALSE)$table
for (n in rownames(z)) add("zph_columns", n, "chisq", z[n, 1])
sp <- survSplit(Surv(time, event) ~ ., raw, cut = 365, episode = "band"); out("bands", coxph(Surv(tstart, time, event) ~ female + female:I(band == 2) + age + strata(site), sp, control = ctl))
raw$w <- 1 + raw$ecog; out("weights", coxph(Surv(time, event) ~ female + age + strata(site), raw, weights = w, robust = FALSE, control = ctl))
write.csv(do.call(rbind, R), "cox_reference.csv", row.names = FALSE, quote = FALSE)
