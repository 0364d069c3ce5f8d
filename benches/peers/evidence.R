# Writes numbers for benches/peers/evidence, or times rma, rma.glmm, segmented and apc.fit on them beside our times.
suppressMessages({ library(metafor); library(metadat); library(segmented); library(Epi) })
a <- commandArgs(TRUE); f <- function(n) file.path(a[2], n); set.seed(20261126)
w <- function(x, n) write.csv(x, f(n), row.names = FALSE, quote = FALSE)
if (a[1] == "write") {
  m <- 10000; k <- 20; v <- round(rchisq(m * k, 3) / 30 + 0.01, 6); w(data.frame(set = rep(seq_len(m), each = k), y = round(rnorm(m * k, 0.3, sqrt(v + 0.05)), 6), v = v), "meta.csv")
  with(dat.nielweise2007, w(data.frame(a = ai, b = n1i - ai, c = ci, d = n2i - ci), "tables.csv"))
  x <- 1980:2019; y <- 2 + 0.02 * (x - 1980) - 0.04 * pmax(x - 1992, 0) + 0.05 * pmax(x - 2004, 0) - 0.03 * pmax(x - 2012, 0) + rnorm(40, 0, 0.012); w(data.frame(x, y = round(y, 6)), "series.csv")
  z <- expand.grid(age = 20:69 + 0.5, period = 1930:2019 + 0.5); z$y <- 20000; z$d <- rpois(nrow(z), z$y * exp(-9 + 0.05 * (z$age - 20) + 0.01 * (z$period - 1930) + 0.3 * sin((z$period - z$age) / 15))); w(z, "lexis.csv")
} else {
  ours <- read.csv(f("ours.csv")); mine <- function(what) ours$value[match(what, ours$what)]
  once <- function(e) { gc(FALSE); system.time(e)[["elapsed"]] }
  line <- function(what, r, o) cat(sprintf("%-58s R %8.2f s   here %9.5f s   ratio %7.0f\n", what, r, o, r / o))
  cat(sprintf("%s, metafor %s, segmented %s, Epi %s\n", R.version.string, packageVersion("metafor"), packageVersion("segmented"), packageVersion("Epi")))
  d <- read.csv(f("meta.csv")); s <- split(d, d$set)[1:400]
  t <- once(r <- sapply(s, function(x) { g <- rma(x$y, x$v, control = list(stepadj = 0.5, maxiter = 1000)); c(g$tau2, g$beta[1]) }))
  line("REML of 20 studies, 10,000 times (R: 400 times, times 25)", 25 * t, mine("reml_seconds"))
  t <- once(g <- rma.glmm(measure = "OR", ai = ai, n1i = n1i, ci = ci, n2i = n2i, data = dat.nielweise2007, model = "UM.FS", nAGQ = 21)); line("GLMM, 18 two-arm trials, fixed study levels, 21 nodes", t, mine("glmm_seconds"))
  d <- read.csv(f("series.csv")); t <- once(sg <- segmented(lm(y ~ x, d), ~x, npsi = 3)); line("three joinpoints on 40 years: segmented, grid here", t, mine("joinpoint_seconds"))
  cat(sprintf("%-58s %32.2f s\n", "the same with 4,499 permutations of 0 against 3, here", mine("permutation_seconds")))
  z <- read.csv(f("lexis.csv")); t <- once(p <- apc.fit(data.frame(A = z$age, P = z$period, D = z$d, Y = z$y), npar = c(A = 7, P = 7, C = 7), dr.extr = "D", ref.c = 1950, print.AOV = FALSE)); line("age-period-cohort model, 50 x 90 cells", t, mine("apc_seconds"))
  off <- c(max(abs(r[2, ] - ours$value[match(paste0("mean", 1:400), ours$what)])), g$beta[1] - mine("glmm"), log(p$Drift[1, 1]) - mine("drift"))
  cat("largest differences: REML mean", format(off[1], digits = 2), " GLMM", format(abs(off[2]), digits = 2), " drift", format(abs(off[3]), digits = 2), "\n")
  stopifnot(off[1] < 1e-4, abs(off[2]) < 1e-3, abs(off[3]) < 1e-7)
}
