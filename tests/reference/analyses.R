#!/usr/bin/env Rscript
# Expected answers of the example analyses, on the pooled rows. Writes analyses_reference.csv. Usage, in this folder: Rscript analyses.R
suppressMessages({ library(survival); library(relsurv) })
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
a <- "../../analyses/"
nl <- read.csv(paste0(a, "breast/sites/NL/rotterdam.csv")); de <- read.csv(paste0(a, "breast/sites/DE/gbsg.csv"))
v <- c("meno", "grade", "nodes", "pgr", "hormon")
d <- rbind(data.frame(country = "NL", nl[, v], t = nl$rfs_days, e = nl$rfs), data.frame(country = "DE", de[, v], t = de$rfstime, e = de$status)); d <- d[d$nodes >= 1, ]
d$t <- pmax(d$t, 0.5); kn <- c(1, 3, 6, 12); cu <- function(u) pmax(u, 0)^3
for (j in 1:2) d[[paste0("n", j)]] <- (cu(d$nodes - kn[j]) - cu(d$nodes - kn[3]) * (kn[4] - kn[j]) / (kn[4] - kn[3]) + cu(d$nodes - kn[4]) * (kn[3] - kn[j]) / (kn[4] - kn[3])) / (kn[4] - kn[1])^2
f <- coxph(Surv(t, e) ~ hormon + meno + factor(grade) + nodes + n1 + n2 + pgr + strata(country), d, control = coxph.control(eps = 1e-13, iter.max = 50))
add("breast", "hormon", "coef", coef(f)["hormon"]); add("breast", "hormon", "se", sqrt(vcov(f)["hormon", "hormon"])); add("breast", "model", "n", f$n); add("breast", "model", "events", f$nevent)
data(colrec); data(slopop)
for (k in c("colon", "rectum")) { c1 <- colrec[colrec$site == k, ]
  for (m in c("pohar-perme", "ederer2")) { f <- rs.surv(Surv(time, stat) ~ 1, data = c1, ratetable = slopop, rmap = list(age = age, sex = sex, year = diag), method = m)
    for (y in c(1, 3, 5)) { i <- max(which(f$time <= round(y * 365.241))); add(paste0("colorectal_", m), paste0(k, "_", y), "surv", f$surv[i]) } } }
write.csv(do.call(rbind, R), "analyses_reference.csv", row.names = FALSE, quote = FALSE)
