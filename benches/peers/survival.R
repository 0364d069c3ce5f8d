# Times coxph and survfit on the rows of a file and prints them beside our times. Called by benches/peers/run.
suppressMessages(library(survival))
files <- commandArgs(TRUE)
d <- read.csv(files[1]); ours <- read.csv(files[2])
x <- paste0("x", 1:10)
best <- function(f) { t <- Inf; for (i in 1:3) { gc(FALSE); t <- min(t, system.time(r <- f())[["elapsed"]]) }; list(seconds = t, result = r) }
formula <- as.formula(paste("Surv(time, event) ~", paste(x, collapse = " + ")))
cox <- best(function() coxph(formula, d))
km <- best(function() survfit(Surv(time, event) ~ group, d, conf.type = "log-log"))
s <- summary(km$result, times = 3650, extend = TRUE)$surv
mine <- function(what) ours$value[match(what, ours$what)]
line <- function(what, r, o) cat(sprintf("%-48s R %8.3f s   here %8.4f s   ratio %7.1f\n", what, r, o, r / o))
cat(sprintf("%s, survival %s, %d rows, %d events\n", R.version.string, packageVersion("survival"), nrow(d), sum(d$event)))
line("Cox, Efron, 10 covariates, to convergence", cox$seconds, mine("cox_seconds"))
line("Kaplan-Meier, daily grid, 8 groups", km$seconds, mine("km_seconds"))
stopifnot(max(abs(coef(cox$result) - mine(paste0("beta", 1:10)))) < 1e-6, max(abs(s - mine(paste0("surv", 0:7)))) < 1e-12)
cat("coefficients agree to", format(max(abs(coef(cox$result) - mine(paste0("beta", 1:10)))), digits = 2), "and curves to",
  format(max(abs(s - mine(paste0("surv", 0:7)))), digits = 2), "\n")
