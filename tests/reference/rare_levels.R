#!/usr/bin/env Rscript
# A rare level whose events come first or last, 1 to 5 patients beside 10 to 2,000: what each regression gives where its maximum is
# finite. Cox models have none here; Firth's and the ridge penalty make one, computed from their definition.
# Writes rare_levels_reference.csv. Usage, in this folder: Rscript rare_levels.R
suppressMessages(library(survival))
options(digits = 15)

frame <- function(k, n, place) {
  i <- seq_len(n)
  plain <- data.frame(time = 10 + i, event = as.numeric(i %% 2 == 0), g = 0)
  start <- if (place == "first") 0 else 10 + n
  rare <- data.frame(time = start + seq_len(k), event = 1, g = 1)
  d <- rbind(rare, plain)
  d$site <- (seq_len(nrow(d)) - 1) %% 3
  d
}

# Score and information of the Cox model stratified by site, one covariate of 0 and 1, no ties.
cox <- function(d, b) {
  u <- i <- l <- di <- 0
  for (s in unique(d$site)) {
    x <- d[d$site == s, ]
    for (r in which(x$event == 1)) {
      risk <- x$time >= x$time[r]
      p <- plogis(b + log(sum(risk & x$g == 1)) - log(sum(risk & x$g == 0)))
      if (!any(risk & x$g == 0)) p <- 1
      if (!any(risk & x$g == 1)) p <- 0
      u <- u + x$g[r] - p; i <- i + p * (1 - p); di <- di + p * (1 - p) * (1 - 2 * p)
    }
  }
  c(u = u, i = i, di = di)
}

sink("rare_levels_reference.csv")
say <- function(...) cat(paste(..., sep = ","), "\n", sep = "")
cat("block,k,n,place,stat,value\n")
for (place in c("first", "last")) for (k in c(1, 2, 5)) for (n in c(10, 50, 180, if (k == 1) 2000)) {
  d <- frame(k, n, place)
  for (dist in c("exponential", "weibull", "lognormal", "loglogistic")) {
    f <- survreg(Surv(time, event) ~ g, d, dist = dist, control = list(maxiter = 200, rel.tolerance = 1e-13))
    say(sub("^log", "log-", dist), k, n, place, "coef", coef(f)["g"])
    say(sub("^log", "log-", dist), k, n, place, "se", sqrt(vcov(f)["g", "g"]))
    if (dist == "weibull") say("royston_parmar", k, n, place, "coef", -coef(f)["g"] / f$scale)
  }
  firth <- function(b) { v <- cox(d, b); v[["u"]] + v[["di"]] / (2 * v[["i"]]) }
  ridge <- function(b) cox(d, b)[["u"]] - b
  if (cox(d, 0)[["i"]] > 0) {
    for (name in c("firth", "ridge")) {
      root <- uniroot(get(name), c(-20, 20), tol = 1e-13)$root
      say(name, k, n, place, "coef", root)
      say(name, k, n, place, "se", 1 / sqrt(cox(d, root)[["i"]] + (name == "ridge")))
    }
  }
  years <- c(0.1, 1, 10) * 365.25
  x <- survSplit(Surv(time, event) ~ ., d, cut = years)
  x <- x[x$tstart < max(years), ]
  x$band <- x$tstart
  x$y <- (x$time - x$tstart) / 365.25
  cells <- aggregate(cbind(event, y) ~ band + g, x, sum)
  m <- cbind(outer(cells$band, unique(cells$band), "==") * 1, g = cells$g)
  f <- suppressWarnings(glm.fit(m, cells$event, offset = log(cells$y), family = poisson(),
                                control = list(epsilon = 1e-14, maxit = 100)))
  say("poisson", k, n, place, "coef", coef(f)["g"])
  say("poisson", k, n, place, "se", sqrt(diag(solve(crossprod(m, f$fitted.values * m))))[["g"]])
}
