#!/usr/bin/env Rscript
# A rare level whose events come first or last, 1 to 5 patients beside 10 to 2,000: what each regression gives where its maximum is
# finite. Cox models have none here; Firth's and the ridge penalty make one, computed from their definition.
# A mixture model of cure has no finite coefficient of the level either, whose patients all have the event: the other terms are those of the
# limit, in which they are not cured. Likelihoods of cure and of the excess hazard are written out, curves of the likelihood of the level
# end at the limits where they are half the 95 % point of χ² below their supremum.
# Writes rare_levels_reference.csv. Usage, in this folder: Rscript rare_levels.R
suppressMessages({ library(survival); library(numDeriv) })
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

# Newton's method on numerical derivatives.
maximum <- function(f, start) {
  b <- optim(start, function(b) -f(b), method = "BFGS", control = list(reltol = 1e-14, maxit = 2000))$par
  for (i in 1:6) b <- b - solve(hessian(f, b), grad(f, b))
  list(b = b, se = sqrt(diag(solve(-hessian(f, b)))))
}
YEAR <- 365.25; BACKGROUND <- 1e-4 * YEAR

# Mixture cure of those of level 0, as many again of whom are followed to day 2,050; level 1 is not cured.
cure <- function(d, n) {
  d <- rbind(d[c("time", "event", "g")], data.frame(time = 2050, event = 0, g = rep(0, n)))
  t <- d$time / YEAR
  f <- function(th) {
    z <- (log(t) - th[2]) / exp(th[3]); lf <- z - exp(z) - th[3] - log(t); p <- ifelse(d$g == 1, 0, plogis(th[1]))
    sum(ifelse(d$event == 1, log(1 - p) + lf, log(p + (1 - p) * exp(-exp(z)))))
  }
  maximum(f, c(0.5, log(median(t[d$event == 1])) + 0.2, 0))
}

# One band, the excess of rate e^(a + b g) over a constant background.
excess <- function(d) {
  t <- d$time / YEAR
  X <- cbind(1, d$g); b <- c(log(0.5 * sum(d$event) / sum(t)), 0)
  f <- function(b) { r <- exp(drop(X %*% b)); sum(d$event * log(r + BACKGROUND) - t * r) }
  b <- optim(b, function(b) -f(b), method = "BFGS", control = list(reltol = 1e-14, maxit = 2000))$par
  for (i in 1:8) {
    r <- exp(drop(X %*% b)); p <- r / (r + BACKGROUND)
    I <- crossprod(X, X * (t * r - d$event * p * (1 - p))); s <- solve(I, colSums(X * (d$event * p - t * r)))
    b <- b + s
  }
  list(b = b, se = sqrt(diag(solve(I))))
}

# Log-likelihood of the Cox model stratified by site, less its supremum.
curve <- function(d) {
  # Level 0 and level 1 at risk at the events of each.
  at <- do.call(rbind, lapply(unique(d$site), function(s) { x <- d[d$site == s, ]; do.call(rbind, lapply(which(x$event == 1), function(r) c(x$g[r], sum(x$time >= x$time[r] & x$g == 0), sum(x$time >= x$time[r] & x$g == 1)))) }))
  at <- at[at[, 2] > 0 & at[, 3] > 0, , drop = FALSE]
  if (nrow(at) == 0) return(NULL)
  sign <- if (all(at[, 1] == 1)) 1 else if (all(at[, 1] == 0)) -1 else stop("a finite maximum")
  # Of an event of the level −ln(1 + n0 e^−b / n1), of another −ln(1 + n1 e^b / n0).
  f <- function(b) -sum(log1p(ifelse(at[, 1] == 1, at[, 2] / at[, 3] * exp(-b), at[, 3] / at[, 2] * exp(b))))
  list(sign = sign, limit = uniroot(function(b) f(b) + qchisq(0.95, 1) / 2, c(-19, 19), tol = 1e-12)$root)
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

  if (n >= 50 && n <= 180) {
    m <- cure(d, n)
    for (i in 1:3) { say("cure", k, n, place, paste0("coef", i), m$b[i]); say("cure", k, n, place, paste0("se", i), m$se[i]) }
  }
  m <- excess(d); say("excess_hazard", k, n, place, "coef", m$b[2]); say("excess_hazard", k, n, place, "se", m$se[2])
  m <- curve(d)
  if (!is.null(m)) { say("profile_likelihood", k, n, place, "sign", m$sign); say("profile_likelihood", k, n, place, "limit", m$limit) }

  # Counts: the cases of the level are all of the first or of the last of two years, the others of both in turn.
  cells <- data.frame(g = c(0, 0, 1, 1), year = c(0, 1, 0, 1), cases = c(n / 2, n / 2, if (place == "first") c(k, 0) else c(0, k)))
  f <- glm(cases ~ g + year, poisson, cells, control = glm.control(epsilon = 1e-14, maxit = 100))
  for (v in c("g", "year")) { say("counts", k, n, place, v, coef(f)[v]); say("counts", k, n, place, paste0(v, "_se"), sqrt(vcov(f)[v, v])) }
}
