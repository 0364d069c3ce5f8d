#!/usr/bin/env Rscript
# Oracles of Poisson models with quantities, whose cells are person and band: glm on the split follow-up of lung, with and without
# Firth's penalty; excess and relative mortality of rdata with the Slovene life table, the expected numbers counted day by day.
# Writes poisson_quantities_reference.csv. Usage, in this folder: Rscript poisson_quantities.R
suppressMessages(library(survival))
options(digits = 17)
R <- list()
add <- function(block, coef, se) {
  for (n in seq_along(coef)) {
    R[[length(R) + 1]] <<- data.frame(block, n, stat = c("coef", "se"), value = sprintf("%.17g", c(coef[n], se[n])))
  }
}
control <- glm.control(epsilon = 1e-15, maxit = 100)
errors <- function(x, weight) sqrt(diag(solve(crossprod(x, weight * x))))

# Rates: a design on the split rows, the covariates centred for the digits of the fit and moved back afterwards.
fit <- function(block, d, x, offset, firth = FALSE) {
  band <- outer(d$band, sort(unique(d$band)), "==") * 1
  centre <- colMeans(x)
  z <- cbind(band, sweep(x, 2, centre))
  h <- 0
  repeat {
    f <- suppressWarnings(glm.fit(z, d$event + h / 2, offset = offset, family = poisson(), control = control))
    if (!firth) break
    mu <- f$fitted.values
    leverage <- mu * rowSums((z %*% solve(crossprod(z, mu * z))) * z)
    if (max(abs(leverage - h)) < 1e-14) break
    h <- leverage
  }
  back <- diag(ncol(z))
  back[seq_len(ncol(band)), ncol(band) + seq_len(ncol(x))] <- -rep(centre, each = ncol(band))
  v <- back %*% solve(crossprod(z, f$fitted.values * z)) %*% t(back)
  add(block, drop(back %*% coef(f)), sqrt(diag(v)))
  list(coef = coef(f), v = solve(crossprod(z, f$fitted.values * z)), centre = centre)
}

lung <- read.csv("lung.csv")
lung$time <- lung$time / 365.25
mean_age <- mean(lung$age)
split <- function(d, cut, end) {
  s <- survSplit(Surv(time, event) ~ ., d, cut = c(cut, end), episode = "band")
  s <- s[s$band <= length(cut) + 1, ]
  s$y <- s$time - s$tstart
  s
}
s <- split(lung, c(0.5, 1, 1.5), 3)
two <- (s$sex == 2) * 1
invisible(fit("rate", s, cbind(two, s$age), log(s$y)))
invisible(fit("product", s, cbind(two, s$age, two * s$age), log(s$y)))
# Harrell's spline with knots at 50, 60 and 75, scaled by the squared distance of the outer knots.
cube <- function(x) pmax(x, 0)^3
spline <- function(x) (cube(x - 50) - cube(x - 60) * 25 / 15 + cube(x - 75) * 10 / 15) / 25^2
invisible(fit("spline", s, cbind(s$age, spline(s$age)), log(s$y)))
few <- split(lung[seq(1, nrow(lung), by = 12), ], 1, 3)
invisible(fit("firth", few, cbind((few$sex == 2) * 1, few$age), log(few$y), firth = TRUE))
# Rates of the bands for a man of the mean age.
f <- glm(event ~ 0 + factor(band) + I(sex == 2) + I(age - mean_age) + offset(log(y)), poisson, s, control = control)
add("at", coef(f)[1:4], sqrt(diag(vcov(f)))[1:4])

rd <- read.csv("rdata.csv")
year <- 365.241
table <- read.csv("slopop.csv")
ages <- sort(unique(table$age)); years <- sort(unique(table$year))
hazard <- array(NA, c(2, length(years), length(ages)))
hazard[cbind(table$sex, match(table$year, years), match(table$age, ages))] <- table$hazard_per_day
first <- as.numeric(as.Date(paste0(years, "-01-01")))
ends <- c(1, 2, 3, 5) * year
exit <- pmax(rd$time, 0.5)
n <- nrow(rd)
E <- Y <- D <- matrix(0, n, length(ends))
for (day in 0:ceiling(max(ends))) {
  h <- hazard[cbind(rd$sex, findInterval(rd$date + day, first), findInterval((rd$age_days + day) / year + 1e-12, ages))]
  for (b in seq_along(ends)) {
    from <- pmax(day, c(0, ends)[b])
    lived <- pmax(pmin(exit, day + 1, ends[b]) - from, 0)
    Y[, b] <- Y[, b] + lived / year
    E[, b] <- E[, b] + lived * h
  }
}
b <- findInterval(exit, c(0, ends), left.open = TRUE)
for (i in which(rd$dead == 1 & exit <= max(ends))) D[i, b[i]] <- 1
d <- data.frame(band = rep(seq_along(ends), each = n), event = c(D), y = c(Y), e = c(E), sex = rd$sex, age = rd$age_days)
d <- d[d$y > 0, ]
two <- (d$sex == 2) * 1
invisible(fit("relative", d, cbind(two, d$age), log(d$e)))

# Excess: mean E + Y exp(eta), by Newton's method on derivatives written out, held against numeric ones of base R.
band <- outer(d$band, seq_along(ends), "==") * 1
x <- cbind(two, d$age); centre <- colMeans(x); spread <- apply(x, 2, sd)
z <- cbind(band, scale(x, centre, spread))
loglik <- function(theta) { mu <- d$e + d$y * exp(drop(z %*% theta)); sum(d$event * log(mu) - mu) }
theta <- c(rep(-3, length(ends)), 0, 0)
theta <- optim(theta, function(t) -loglik(t), method = "BFGS", control = list(reltol = 1e-14, maxit = 2000))$par
for (i in 1:20) {
  g <- d$y * exp(drop(z %*% theta)); mu <- d$e + g
  u <- crossprod(z, (d$event / mu - 1) * g)
  information <- crossprod(z, (g * (1 - d$event / mu) + d$event * (g / mu)^2) * z)
  theta <- theta + drop(solve(information, u))
}
numeric <- optimHess(theta, function(t) -loglik(t), control = list(ndeps = rep(1e-4, length(theta))))
stopifnot(max(abs(u)) < 1e-9, max(abs(numeric / information - 1)[abs(information) > 1]) < 1e-4)
back <- diag(ncol(z))
back[5:6, 5:6] <- diag(1 / spread)
back[1:4, 5:6] <- -rep(centre / spread, each = 4)
v <- back %*% solve(information) %*% t(back)
add("excess", drop(back %*% theta), sqrt(diag(v)))
# The same by glm with the link log(mu - E), whose standard errors are those of the expected information: the estimates agree.
link <- structure(list(linkfun = function(mu) log(pmax(mu - d$e, 1e-12) / d$y), linkinv = function(eta) d$e + d$y * exp(eta),
                       mu.eta = function(eta) d$y * exp(eta), valideta = function(eta) TRUE, name = "excess"), class = "link-glm")
f <- suppressWarnings(glm.fit(z, d$event, family = poisson(link), start = theta, control = glm.control(epsilon = 1e-15, maxit = 200)))
stopifnot(max(abs(coef(f) - theta)) < 1e-6)
write.csv(do.call(rbind, R), "poisson_quantities_reference.csv", row.names = FALSE, quote = FALSE)
