#!/usr/bin/env Rscript
# Oracles of meta-analysis of published counts and estimates by metafor: effect measures, estimators of tau2, Mantel-Haenszel, Peto
# and exact common effects, models of rare events, regression, diagnostics. Writes meta_effects_reference.csv and the data.
# Usage, in this folder: Rscript meta_effects.R
suppressMessages({ library(metafor); library(metadat) })
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
num <- function(x) sprintf("%.17g", x)
bcg <- dat.bcg; write.csv(with(bcg, data.frame(study = paste0("T", trial), events1 = tpos, n1 = tpos + tneg, events2 = cpos, n2 = cpos + cneg, ablat, year, alloc)), "bcg_counts.csv", row.names = FALSE, quote = FALSE)
yus <- dat.yusuf1985; yus <- yus[yus$table %in% c("6", "9", "10", "11"), ]; yus <- yus[complete.cases(yus[, c("ai", "n1i", "ci", "n2i")]), ]; write.csv(with(yus, data.frame(table, study = id, events1 = ai, n1 = n1i, events2 = ci, n2 = n2i)), "yusuf.csv", row.names = FALSE, quote = FALSE)
n7 <- dat.nielweise2007; write.csv(with(n7, data.frame(study, events1 = ai, n1 = n1i, events2 = ci, n2 = n2i)), "nielweise2007.csv", row.names = FALSE, quote = FALSE)
n8 <- dat.nielweise2008; write.csv(with(n8, data.frame(study, events1 = x1i, time1 = t1i, events2 = x2i, time2 = t2i)), "nielweise2008.csv", row.names = FALSE, quote = FALSE)
pr <- dat.pritz1997; write.csv(with(pr, data.frame(study, events = xi, n = ni)), "pritz.csv", row.names = FALSE, quote = FALSE)
for (m in c("OR", "RR", "RD", "PETO", "AS")) { e <- escalc(m, ai = tpos, bi = tneg, ci = cpos, di = cneg, data = bcg); for (i in c(1, 7, 13)) { add(m, i, "yi", e$yi[i]); add(m, i, "vi", e$vi[i]) } }
for (m in c("IRR", "IRD")) { e <- escalc(m, x1i = x1i, t1i = t1i, x2i = x2i, t2i = t2i, data = n8); for (i in c(1, 3)) { add(m, i, "yi", e$yi[i]); add(m, i, "vi", e$vi[i]) } }
for (m in c("PR", "PLO", "PLN", "PAS", "PFT")) { e <- escalc(m, xi = xi, ni = ni, data = pr, add = 1/2, to = "only0"); for (i in 1:14) { add(m, i, "yi", e$yi[i]); add(m, i, "vi", e$vi[i]) } }
d <- escalc("RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = bcg); ctl <- list(threshold = 1e-14, maxiter = 5000, tol = 1e-14, stepadj = .5)
for (m in c("HE", "HS", "HSk", "SJ", "ML", "EB", "PMM")) { f <- tryCatch(rma(yi, vi, data = d, method = m, control = ctl), error = function(e) NULL); if (!is.null(f)) { add("tau2", m, "tau2", f$tau2); add("tau2", m, "estimate", f$beta[1]); add("tau2", m, "se", f$se) } }
f <- rma(yi, vi, data = d, method = "ML", control = ctl); ci <- confint(f, type = "PL", control = list(tol = 1e-13))$random; add("PL", "ML", "low", ci["tau^2", "ci.lb"]); add("PL", "ML", "high", ci["tau^2", "ci.ub"])
f <- rma(yi, vi, data = d, control = ctl); ci <- confint(f, type = "PL", control = list(tol = 1e-13))$random; add("PL", "REML", "low", ci["tau^2", "ci.lb"]); add("PL", "REML", "high", ci["tau^2", "ci.ub"])
mh <- function(nm, f) { add(nm, "mh", "estimate", f$beta[1]); add(nm, "mh", "se", f$se); add(nm, "mh", "q", f$QE); add(nm, "mh", "q_df", f$k.yi - 1); if (!is.null(f$MH)) add(nm, "mh", "score", f$MH) }
for (m in c("OR", "RR", "RD")) mh(paste("bcg", m), rma.mh(measure = m, ai = tpos, bi = tneg, ci = cpos, di = cneg, data = bcg, correct = FALSE))
mh("n8 IRR", rma.mh(measure = "IRR", x1i = x1i, t1i = t1i, x2i = x2i, t2i = t2i, data = n8, correct = FALSE)); mh("n7 OR", rma.mh(measure = "OR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = n7, add = 0, to = "none", drop00 = TRUE, correct = FALSE))
add("bcg OR", "mh", "corrected", rma.mh(measure = "OR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = bcg, correct = TRUE)$MH)
pe <- function(nm, f) { add(nm, "peto", "estimate", f$beta[1]); add(nm, "peto", "se", f$se); add(nm, "peto", "q", f$QE) }
pe("bcg", rma.peto(ai = tpos, bi = tneg, ci = cpos, di = cneg, data = bcg)); pe("n7", rma.peto(ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = n7))
for (t in c("6", "9", "10", "11")) pe(paste("yusuf", t), rma.peto(ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = yus[yus$table == t, ]))
x <- with(n7, array(rbind(ai, ci, n1i - ai, n2i - ci), c(2, 2, length(ai)))); e <- mantelhaen.test(x, exact = TRUE); add("n7", "exact", "or", e$estimate); add("n7", "exact", "low", e$conf.int[1]); add("n7", "exact", "high", e$conf.int[2])
gl <- function(nm, f) { add(nm, "glmm", "estimate", f$beta[1]); add(nm, "glmm", "se", f$se); add(nm, "glmm", "tau2", f$tau2) }
for (m in c("UM.FS", "UM.RS", "CM.EL", "CM.AL")) { f <- tryCatch(suppressWarnings(rma.glmm(measure = "OR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = n7, model = m, nAGQ = if (m == "UM.RS") 1 else 21)), error = function(e) { message(m, e); NULL }); if (!is.null(f)) gl(paste("n7", m), f) }
for (m in c("UM.FS", "UM.RS", "CM.EL")) { f <- tryCatch(suppressWarnings(rma.glmm(measure = "IRR", x1i = x1i, t1i = t1i, x2i = x2i, t2i = t2i, data = n8, model = m, nAGQ = if (m == "UM.RS") 1 else 21)), error = function(e) NULL); if (!is.null(f)) gl(paste("n8", m), f) }
# Random study levels with normal effects, integrated over both by an adaptive product rule of 15 x 15 points.
gh <- { J <- matrix(0, 15, 15); for (i in 1:14) J[i, i + 1] <- J[i + 1, i] <- sqrt(i); e <- eigen(J, symmetric = TRUE); list(z = e$values, w = e$vectors[1, ]^2) }
um <- function(th) { mu <- th[1]; tau <- exp(th[2]); l0 <- th[3]; sg <- exp(th[4]); -sum(sapply(seq_len(nrow(n8)), function(i) with(n8[i, ], {
  f <- function(u) { a <- l0 + sg * u[2]; d <- mu + tau * u[1]; dpois(x1i, t1i * exp(a + d / 2), TRUE) + dpois(x2i, t2i * exp(a - d / 2), TRUE) - sum(u^2) / 2 }
  o <- optim(c(0, 0), function(u) -f(u), method = "BFGS", control = list(reltol = 1e-14)); H <- numDeriv::hessian(function(u) -f(u), o$par); L <- t(chol(solve(H))); g <- expand.grid(1:15, 1:15)
  v <- apply(g, 1, function(k) { z <- gh$z[k]; log(gh$w[k[1]]) + log(gh$w[k[2]]) + sum(z^2) / 2 + f(o$par + L %*% z) }); max(v) + log(sum(exp(v - max(v)))) + log(det(L)) }))) }
o <- optim(c(-0.47, -1.2, -5.2, 0), um, control = list(reltol = 1e-12, maxit = 600)); add("n8 UM.RS exact", "glmm", "estimate", o$par[1]); add("n8 UM.RS exact", "glmm", "tau2", exp(2 * o$par[2]))
gl("pritz PLO", rma.glmm(measure = "PLO", xi = xi, ni = ni, data = pr, nAGQ = 21))
for (tst in c("z", "knha")) { f <- rma(yi, vi, mods = ~ablat, data = d, test = tst, control = ctl); for (j in 1:2) { add(paste("ablat", tst), j, "coef", f$beta[j]); add(paste("ablat", tst), j, "se", f$se[j]); add(paste("ablat", tst), j, "p", f$pval[j]) }; add(paste("ablat", tst), "all", "tau2", f$tau2); add(paste("ablat", tst), "all", "r2", f$R2); add(paste("ablat", tst), "all", "qm", f$QM); add(paste("ablat", tst), "all", "qmp", f$QMp); add(paste("ablat", tst), "all", "qe", f$QE); add(paste("ablat", tst), "all", "i2", f$I2) }
for (m in c("DL", "ML", "PM", "HE", "SJ", "HS")) { f <- rma(yi, vi, mods = ~ablat, data = d, method = m, control = ctl); add("ablat", m, "tau2", f$tau2) }
f <- rma(yi, vi, data = d, control = ctl); set.seed(1); p <- permutest(f, exact = TRUE, progbar = FALSE); add("permutation", "exact", "p", p$pval)
r <- robust(f, cluster = trial, data = d, adjust = TRUE); add("robust", "trial", "se", r$se); add("robust", "trial", "df", r$dfs); r <- robust(f, cluster = alloc, data = d, adjust = TRUE); add("robust", "alloc", "se", r$se); add("robust", "alloc", "low", r$ci.lb)
# CR2 with Satterthwaite's degrees of freedom, from the definition.
W <- diag(1 / (d$vi + f$tau2)); Phi <- diag(d$vi + f$tau2); X <- cbind(rep(1, 13)); M <- solve(t(X) %*% W %*% X); H <- X %*% M %*% t(X) %*% W; e <- d$yi - X %*% f$beta; cl <- as.integer(factor(d$alloc)); G <- NULL; meat <- 0
mhalf <- function(A) { z <- eigen(A, symmetric = TRUE); k <- z$values > 1e-12 * max(z$values); z$vectors[, k, drop = FALSE] %*% diag(1 / sqrt(z$values[k]), sum(k)) %*% t(z$vectors[, k, drop = FALSE]) }
for (c0 in 1:3) { i <- which(cl == c0); D <- diag(sqrt(diag(Phi)[i]), length(i)); B <- D %*% (Phi[i, i] - X[i, , drop = FALSE] %*% M %*% t(X[i, , drop = FALSE])) %*% D; A <- D %*% mhalf(B) %*% D; u <- t(X[i, , drop = FALSE]) %*% W[i, i] %*% A; meat <- meat + (u %*% e[i])^2; g <- rep(0, 13); g[i] <- M %*% u; G <- cbind(G, g) }
add("robust", "cr2", "se", sqrt(M %*% meat %*% M)); O <- t(G) %*% (diag(13) - H) %*% Phi %*% t(diag(13) - H) %*% G; add("robust", "cr2", "df", sum(diag(O))^2 / sum(diag(O %*% O)))
l <- leave1out(f); for (i in 1:13) { add("leave1out", i, "estimate", l$estimate[i]); add("leave1out", i, "tau2", l$tau2[i]); add("leave1out", i, "i2", l$I2[i]) }
inf <- influence(f)$inf; for (i in 1:13) { add("influence", i, "rstudent", inf$rstudent[i]); add("influence", i, "cook", inf$cook.d[i]); add("influence", i, "dffits", inf$dffits[i]); add("influence", i, "cov_ratio", inf$cov.r[i]); add("influence", i, "hat", inf$hat[i]) }
cu <- cumul(f, order = d$year); for (i in 2:13) { add("cumulative", i, "estimate", cu$estimate[i]); add("cumulative", i, "tau2", cu$tau2[i]) }
eg <- regtest(f, control = ctl); add("egger", "sei", "z", eg$zval); add("egger", "sei", "p", eg$pval); add("egger", "sei", "limit", eg$est); rk <- ranktest(f); add("begg", "tau", "tau", rk$tau); add("begg", "tau", "p", rk$pval)
tf <- trimfill(rma(yi, vi, data = d, method = "EE")); add("trimfill", "EE", "k0", tf$k0); add("trimfill", "EE", "estimate", tf$beta[1]); add("trimfill", "EE", "se", tf$se)
tf <- trimfill(rma(yi, vi, data = d, method = "REML")); add("trimfill", "REML", "k0", tf$k0); add("trimfill", "REML", "estimate", tf$beta[1]); add("trimfill", "REML", "se", tf$se)
o <- with(lapply(bcg[, c("tpos", "tneg", "cpos", "cneg")], as.numeric), data.frame(a = tpos, b = tneg, c = cpos, d = cneg)); nn <- rowSums(o); Z <- o$a - (o$a + o$b) * (o$a + o$c) / nn; V <- (o$a + o$b) * (o$c + o$d) * (o$a + o$c) * (o$b + o$d) / (nn^2 * (nn - 1)); hb <- summary(lm(I(Z / V) ~ I(1 / sqrt(V)), weights = V))$coefficients; add("harbord", "t", "t", hb[2, 3]); add("harbord", "t", "p", hb[2, 4])
pt <- summary(lm(log(a * d / (b * c)) ~ I(1 / nn), o, weights = 1 / (1 / (a + c) + 1 / (b + d))))$coefficients; add("peters", "t", "t", pt[2, 3]); add("peters", "t", "p", pt[2, 4])
for (w in c("n1", "one")) { ww <- if (w == "one") rep(1, 13) else bcg$tpos + bcg$tneg; add("genq", w, "tau2", rma(yi, vi, data = d, method = "GENQ", weights = ww)$tau2) }
# Two outcomes of neuroblastoma studies, errors correlated by 0.5.
ri <- dat.riley2003; ri$outcome <- factor(ri$outcome, c("DFS", "OS")); write.csv(data.frame(study = ri$study, outcome = ri$outcome, estimate = ri$yi, std_error = ri$sei), "riley_long.csv", row.names = FALSE, quote = FALSE)
V <- bldiag(lapply(split(ri, ri$study), function(x) { s <- x$sei; if (length(s) == 1) matrix(s^2) else outer(s, s) * (diag(2) * 0.5 + 0.5) })); ri <- ri[order(ri$study), ]
for (st in c("UN", "CS", "DIAG")) { f <- rma.mv(yi, V, mods = ~ 0 + outcome, random = ~ outcome | study, struct = st, data = ri, control = list(optimizer = "optim", optmethod = "BFGS", reltol = 1e-15, maxit = 5000)); for (j in 1:2) { add(paste("riley", st), levels(ri$outcome)[j], "estimate", f$beta[j]); add(paste("riley", st), levels(ri$outcome)[j], "se", f$se[j]) }; add(paste("riley", st), "fit", "log_likelihood", as.numeric(logLik(f))); add(paste("riley", st), "fit", "q", f$QE) }
# Beta-binomial arms (Kuss 2015), the likelihood written out with lbeta.
bb <- function(nm, x, n, g) { X <- model.matrix(~ g); q <- ncol(X); f <- function(p) { m <- plogis(drop(X %*% p[1:q])); r <- plogis(p[q + 1]); a <- m * (1 - r) / r; b <- (1 - m) * (1 - r) / r; -sum(lchoose(n, x) + lbeta(x + a, n - x + b) - lbeta(a, b)) }
  o <- optim(c(qlogis(sum(x) / sum(n)), rep(0, q - 1), -4), f, control = list(reltol = 1e-15, maxit = 20000)); for (i in 1:5) o <- optim(o$par, f, method = "BFGS", control = list(reltol = 1e-16, maxit = 2000)); for (i in 1:3) o$par <- o$par - solve(numDeriv::hessian(f, o$par), numDeriv::grad(f, o$par)); V <- solve(numDeriv::hessian(f, o$par)); add(nm, "fit", "log_likelihood", -o$value); add(nm, "fit", "correlation", plogis(o$par[q + 1])); add(nm, "effect", "estimate", o$par[q]); add(nm, "effect", "se", sqrt(V[q, q]))
  if (q == 2) { m <- plogis(c(o$par[1] + o$par[2], o$par[1])); J <- rbind(c(1 - m[1] - (1 - m[2]), 1 - m[1])); add(nm, "log risk ratio", "estimate", log(m[1] / m[2])); add(nm, "log risk ratio", "se", sqrt(drop(J %*% V[1:2, 1:2] %*% t(J)))) } }
bb("betabin n7", c(n7$ai, n7$ci), c(n7$n1i, n7$n2i), rep(1:0, each = nrow(n7))); bb("betabin bcg", c(bcg$tpos, bcg$cpos), c(bcg$tpos + bcg$tneg, bcg$cpos + bcg$cneg), rep(1:0, each = nrow(bcg)))
bb1 <- function(nm, x, n) { f <- function(p) { m <- plogis(p[1]); r <- plogis(p[2]); a <- m * (1 - r) / r; b <- (1 - m) * (1 - r) / r; -sum(lchoose(n, x) + lbeta(x + a, n - x + b) - lbeta(a, b)) }; o <- optim(c(1, -2), f, control = list(reltol = 1e-15, maxit = 20000)); o <- optim(o$par, f, method = "BFGS", control = list(reltol = 1e-16)); for (i in 1:3) o$par <- o$par - solve(numDeriv::hessian(f, o$par), numDeriv::grad(f, o$par)); add(nm, "effect", "estimate", o$par[1]); add(nm, "effect", "se", sqrt(solve(numDeriv::hessian(f, o$par))[1, 1])); add(nm, "fit", "correlation", plogis(o$par[2])) }
bb1("betabin pritz", pr$xi, pr$ni)
write.csv(do.call(rbind, R), "meta_effects_reference.csv", row.names = FALSE, quote = FALSE)
