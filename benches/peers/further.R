# Writes rows for benches/peers/further, or times rs.surv, survreg and crr on them beside our times.
suppressMessages({ library(survival); library(relsurv); library(cmprsk) })
a <- commandArgs(TRUE); f <- function(n) file.path(a[2], n); set.seed(20261126)
data(colrec); data(slopop)
big <- colrec[rep(seq_len(nrow(colrec)), length.out = 100000), ]; later <- seq_len(100000) > nrow(colrec)
big$age[later] <- big$age[later] + sample(-700:700, sum(later), TRUE); big$time[later] <- pmax(1, big$time[later] + sample(-30:30, sum(later), TRUE))
if (a[1] == "write") {
  write.csv(data.frame(sex = big$sex, age_days = big$age, date = as.integer(as.Date(as.numeric(big$diag), origin = "1960-01-01")), time = big$time, dead = big$stat), f("patients.csv"), row.names = FALSE, quote = FALSE)
  t <- as.data.frame.table(unclass(slopop), responseName = "hazard_per_day"); t$sex <- ifelse(t$sex == "male", 1, 2); t$hazard_per_day <- sprintf("%.17g", t$hazard_per_day)
  write.csv(t, f("table.csv"), row.names = FALSE, quote = FALSE)
  n <- 200000; x <- matrix(round(runif(5 * n, -1, 1), 3), n); t <- 3000 * (-log(runif(n)))^(0.8) * exp(x %*% c(.1, .2, .3, -.1, 0)); c0 <- runif(n, 0, 5000); 
  write.csv(data.frame(time = ceiling(pmin(t, c0)), event = as.integer(t <= c0), x1 = x[, 1], x2 = x[, 2], x3 = x[, 3], x4 = x[, 4], x5 = x[, 5]), f("regression.csv"), row.names = FALSE, quote = FALSE)
  n <- 10000; x <- matrix(round(runif(2 * n, -1, 1), 3), n); t <- ceiling(1500 * rexp(n)); k <- 1 + rbinom(n, 1, plogis(x[, 1])); c0 <- ceiling(runif(n, 0, 3000))
  write.csv(data.frame(time = pmin(t, c0), cause = ifelse(t <= c0, k, 0), x1 = x[, 1], x2 = x[, 2]), f("competing.csv"), row.names = FALSE, quote = FALSE)
} else {
  ours <- read.csv(f("ours.csv")); mine <- function(what) ours$value[match(what, ours$what)]
  once <- function(e) { gc(FALSE); system.time(e)[["elapsed"]] }
  line <- function(what, r, o) cat(sprintf("%-52s R %8.2f s   here %8.4f s   ratio %7.0f\n", what, r, o, r / o))
  cat(sprintf("%s, survival %s, relsurv %s, cmprsk %s\n", R.version.string, packageVersion("survival"), packageVersion("relsurv"), packageVersion("cmprsk")))
  s <- once(r1 <- rs.surv(Surv(time, stat) ~ 1, data = big[1:5971, ], ratetable = slopop, rmap = list(age = age, sex = sex, year = diag)))
  line("Pohar Perme, 5,971 patients, slopop", s, mine("net_small_seconds"))
  s <- once(r2 <- rs.surv(Surv(time, stat) ~ 1, data = big, ratetable = slopop, rmap = list(age = age, sex = sex, year = diag)))
  line("Pohar Perme, 100,000 patients, slopop", s, mine("net_large_seconds"))
  d <- read.csv(f("regression.csv")); s <- once(w <- survreg(Surv(time, event) ~ x1 + x2 + x3 + x4 + x5, d)); line("Weibull, 200,000 rows, 5 covariates (survreg)", s, mine("weibull_seconds"))
  d <- read.csv(f("competing.csv")); s <- once(g <- crr(d$time, d$cause, as.matrix(d[, c("x1", "x2")]), gtol = 1e-10)); line("Fine-Gray with variance, 10,000 rows (crr)", s, mine("crr_seconds"))
  at <- function(r) r$surv[max(which(r$time <= 1826))]
  off <- c(at(r1) - mine("net_small"), at(r2) - mine("net_large"), coef(w) - mine(paste0("weibull", 0:5)), g$coef - mine(paste0("crr", 0:1)))
  cat("largest differences: net survival", format(max(abs(off[1:2])), digits = 2), " Weibull", format(max(abs(off[3:8])), digits = 2), " Fine-Gray", format(max(abs(off[9:10])), digits = 2), "\n")
  stopifnot(max(abs(off[1:2])) < 1e-4, max(abs(off[3:8])) < 1e-5, max(abs(off[9:10])) < 1e-7)
}
