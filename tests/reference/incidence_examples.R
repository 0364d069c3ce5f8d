#!/usr/bin/env Rscript
# Site files of the incidence examples, and their expected answers. analyses/testis: Danish counts (Epi::testisDK) dealt out over
# three invented regions; analyses/childhood: twelve invented countries. Writes the files and incidence_examples_reference.csv.
# Usage, in this folder: Rscript incidence_examples.R
suppressMessages({ library(Epi); library(epitools); library(lme4) })
options(digits = 17); set.seed(20240917)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
a <- "../../analyses/"; w <- function(x, f) write.csv(x, f, row.names = FALSE, quote = FALSE, na = "")
d <- read.csv("testisDK.csv"); share <- c(R1 = 0.5, R2 = 0.3, R3 = 0.2)
m <- t(sapply(d$cases, function(n) rmultinom(1, n, share)))
for (k in 1:3) { f <- paste0(a, "testis/sites/", names(share)[k], "/"); dir.create(f, recursive = TRUE, showWarnings = FALSE); i <- m[, k] > 0
  w(data.frame(age = d$age[i], year = d$year[i], cases = m[i, k]), paste0(f, "cases.csv")); w(data.frame(year = d$year, age = d$age, person_years = sprintf("%.4f", d$person_years * share[k])), paste0(f, "population.csv")) }
t <- d[d$age >= 15 & d$age < 40, ]; t$band <- cut(t$age, seq(15, 40, 5), right = FALSE); t <- aggregate(cbind(cases, person_years) ~ band + year, t, sum)
f <- glm(cases ~ 0 + band + year + offset(log(person_years)), poisson, t, control = glm.control(epsilon = 1e-14)); add("testis", "trend", "percent", 100 * (exp(coef(f)["year"]) - 1)); add("testis", "cases", "n", sum(t$cases))
x <- aggregate(cbind(cases, person_years) ~ band, t[t$year >= 1990, ], sum); add("testis", "1990-1996", "asr", 1e5 * ageadjust.direct(x$cases, x$person_years, stdpop = c(9, 8, 8, 6, 6))["adj.rate"])
s <- d[d$age >= 15 & d$age < 65, ]; z <- apc.fit(data.frame(A = s$age + 0.5, P = s$year + 0.5, D = s$cases, Y = s$person_years), npar = c(A = 7, P = 6, C = 8), dr.extr = "D", print.AOV = FALSE); add("testis", "apc", "drift", 100 * (z$Drift[1, 1] - 1))
# Twelve invented countries: rates per million by ICCC-3 main group and age, cases from 2010 to 2019.
rates <- rbind(c(40, 85, 40, 28, 28), c(5, 8, 14, 22, 42), c(30, 38, 30, 25, 20), c(60, 22, 4, 1.5, 1), c(28, 10, 0.6, 0.1, 0), c(18, 19, 5, 1, 1), c(9, 5, 0.6, 0.8, 1), c(0.5, 1.2, 5, 12, 14), c(14, 10, 9, 11, 15), c(16, 4, 2, 6, 26), c(1, 1.5, 3, 8, 40), c(1, 0.5, 0.4, 0.6, 1.5))
from <- c(0, 1, 5, 10, 15); to <- c(1, 5, 10, 15, 20); groups <- sprintf("%02d", 1:12); years <- 2010:2019
codes <- paste0("C", sprintf("%02d", 1:12)); iso <- c("AA", "AB", "AC", "AD", "AE", "AF", "AG", "AH", "AI", "AJ", "AK", "AL"); size <- c(9, 12, 15, 20, 26, 34, 45, 60, 80, 110, 150, 200) * 100
all <- NULL; py <- NULL
for (k in 1:12) { f <- paste0(a, "childhood/sites/", codes[k], "/"); dir.create(f, recursive = TRUE, showWarnings = FALSE)
  p <- expand.grid(age = 0:19, year = years, sex = 1:2); p$person_years <- round(size[k] * ifelse(p$sex == 1, 1.05, 1) * (1 + 0.004 * (p$year - 2010)), 1); w(p[, c("sex", "year", "age", "person_years")], paste0(f, "population.csv")); py <- rbind(py, p)
  factor <- exp(rnorm(1, 0, 0.08)); rows <- NULL
  for (g in 1:12) { b <- findInterval(p$age, from); mu <- rates[g, b] * 1e-6 * p$person_years * factor * ifelse(p$sex == 1, 1.15, 0.9) * exp(0.006 * (p$year - 2015)); n <- rpois(nrow(p), mu); i <- rep(seq_len(nrow(p)), n)
    if (length(i)) rows <- rbind(rows, data.frame(sex = p$sex[i], age = p$age[i], year = p$year[i], iccc = groups[g])) }
  rows <- rows[order(rows$year, rows$age, rows$sex, rows$iccc), ]; rows$basis <- sample(c("7", "5", "2", "0", "9"), nrow(rows), TRUE, c(0.90, 0.04, 0.04, 0.01, 0.01)); rows$patient <- sprintf("%s-%04d", codes[k], seq_len(nrow(rows)))
  rows$age[sample(nrow(rows), max(0, round(nrow(rows) * 0.004)))] <- NA
  w(rows[, c("patient", "sex", "age", "year", "iccc", "basis")], paste0(f, "cases.csv")); all <- rbind(all, rows) }
add("childhood", "all", "n", nrow(all)); segi <- c(2.4, 9.6, 10, 9, 9)
for (top in c(15, 20)) { use <- to <= top; b <- findInterval(all$age, from); pb <- findInterval(py$age, from); D <- sapply(which(use), function(i) sum(b == i, na.rm = TRUE)); Y <- sapply(which(use), function(i) sum(py$person_years[pb == i])); x <- ageadjust.direct(D, Y, stdpop = segi[use])
  known <- sum(!is.na(all$age)); corr <- nrow(all) / known; for (s in c("adj.rate", "lci", "uci")) add("childhood", paste0("0-", top - 1), s, 1e6 * corr * x[[s]]) }
# Counts by country, age band, sex and year: Poisson with a level per country, normal levels.
z <- NULL; for (k in 1:12) { f <- paste0(a, "childhood/sites/", codes[k], "/"); p <- read.csv(paste0(f, "population.csv")); p$b <- findInterval(p$age, from); p <- aggregate(person_years ~ b + sex + year, p, sum); r <- read.csv(paste0(f, "cases.csv")); r <- r[!is.na(r$age), ]
  p$d <- mapply(function(b, s, y) sum(findInterval(r$age, from) == b & r$sex == s & r$year == y), p$b, p$sex, p$year); z <- rbind(z, data.frame(site = codes[k], p)) }
z$b <- factor(z$b); z$sex <- factor(z$sex); z$y <- z$year - 2014.5; ctl <- glm.control(epsilon = 1e-14, maxit = 200)
f <- glm(d ~ 0 + site + b + sex + y + offset(log(person_years)), poisson, z, control = ctl); for (v in c("b2", "b5", "sex2", "y")) { add("fixed", v, "coef", coef(f)[v]); add("fixed", v, "se", sqrt(vcov(f)[v, v])) }; add("fixed", "model", "log_likelihood", as.numeric(logLik(f))); add("fixed", "model", "aic", AIC(f))
g <- glmer(d ~ b + sex + y + offset(log(person_years)) + (1 | site), z, poisson, nAGQ = 25, control = glmerControl(optCtrl = list(maxfun = 1e5), tolPwrss = 1e-10)); for (v in c("(Intercept)", "b2", "b5", "sex2", "y")) { add("random", v, "coef", fixef(g)[v]); add("random", v, "se", sqrt(vcov(g)[v, v])) }; add("random", "sd", "coef", sqrt(VarCorr(g)$site[1])); h <- glm(d ~ b + sex + y + offset(log(person_years)), poisson, z, control = ctl); add("none", "model", "log_likelihood", as.numeric(logLik(h))); add("none", "model", "aic", AIC(h))
# nAGQ > 1 leaves constants out of the likelihood: Laplace has them.
g1 <- glmer(d ~ b + sex + y + offset(log(person_years)) + (1 | site), z, poisson, control = glmerControl(optCtrl = list(maxfun = 1e5), tolPwrss = 1e-10)); add("random", "model", "log_likelihood", as.numeric(logLik(g1))); add("random", "model", "aic", AIC(g1))
# Deaths of the twelve countries, with random numbers of their own: indicators of quality by group and sex, deaths over cases.
set.seed(20240918); fatal <- c(0.14, 0.07, 0.28, 0.25, 0.02, 0.12, 0.25, 0.3, 0.28, 0.08, 0.06, 0.2); died <- NULL
for (k in 1:12) { f <- paste0(a, "childhood/sites/", codes[k], "/"); r <- read.csv(paste0(f, "cases.csv"), colClasses = c(iccc = "character"))
  x <- expand.grid(group = groups, sex = 1:2, year = years); x$deaths <- mapply(function(g, s, y) rbinom(1, sum(r$iccc == g & r$sex == s & r$year == y), fatal[as.integer(g)]), x$group, x$sex, x$year); w(x[, c("year", "sex", "group", "deaths")], paste0(f, "deaths.csv")); died <- rbind(died, x) }
for (g in c("01", "03")) for (s in list(all = 1:2, "1" = 1, "2" = 2)) { i <- all$iccc == g & all$sex %in% s; key <- paste0("quality/", g, "/", if (length(s) > 1) "all" else s); n <- sum(i); m <- sum(all$basis[i] %in% c("7", "6", "5"))
  b <- binom.test(m, n); add(key, "mv", "n", n); add(key, "mv", "share", m / n); add(key, "mv", "low", b$conf.int[1]); add(key, "mv", "high", b$conf.int[2])
  d <- sum(died$deaths[died$group == g & died$sex %in% s]); q <- poisson.test(c(d, n)); add(key, "mi", "deaths", d); add(key, "mi", "ratio", d / n); add(key, "mi", "low", q$conf.int[1]); add(key, "mi", "high", q$conf.int[2]) }
w(do.call(rbind, R), "incidence_examples_reference.csv")
