#!/usr/bin/env Rscript
# Fine and Gray's model where a level of few patients has no finite coefficient: the limit of the other terms. Patients of the level
# `9` are added to mgus2. Where none of them has the event (coefficient −∞) they weigh nothing in any risk set and count for the curve of
# censoring alone; where they have it before all others (+∞) their risk sets are theirs alone. The partial likelihood is written out with
# the weights of cmprsk::crr. Standard errors: crr at the limit, the coefficient of the level at −18 and 22.
# Writes monotone_reference.csv. Usage, in this folder, after competing.R: Rscript monotone.R
suppressMessages({ library(survival); library(cmprsk) })
options(digits = 17)
R <- list()
add <- function(place, term, stat, value) R[[length(R) + 1]] <<- data.frame(place, term, stat, value = sprintf("%.17g", value))
# `level` tells patients apart whose risk sets are apart; those of level NA are in none.
fine_gray <- function(d, x, level) {
  g <- survfit(Surv(time, cause == 0) ~ 1, d); before <- stepfun(g$time, c(1, g$surv), right = TRUE)
  b <- rep(0, ncol(x))
  for (step in 1:30) {
    u <- 0 * b; I <- diag(0, length(b))
    for (k in which(d$cause == 1)) {
      w <- ifelse(d$time >= d$time[k], 1, ifelse(d$cause == 2, before(d$time[k]) / before(d$time), 0)) * (level %in% level[k])
      e <- w * exp(drop(x %*% b)); mean <- colSums(e * x) / sum(e)
      u <- u + x[k, ] - mean; I <- I + crossprod(x, e * x) / sum(e) - outer(mean, mean)
    }
    b <- b + solve(I, u)
  }
  b
}
m <- read.csv("mgus2.csv"); m$g <- m$sex; m$time <- m$time + 30
x <- cbind(age = m$age, male = as.numeric(m$g == "M"))
stopifnot(all.equal(fine_gray(m, x, rep(0, nrow(m))), crr(m$time, m$cause, x, failcode = 1, gtol = 1e-12)$coef, tolerance = 1e-9, check.attributes = FALSE))
i <- 1:30
for (place in c("never", "first")) {
  nine <- if (place == "never") data.frame(time = 10 * i, cause = ifelse(i %% 2 == 0, 2, 0), age = 60 + i %% 7, g = "9") else data.frame(time = i, cause = 1, age = 60 + i %% 7, g = "9")
  d <- rbind(m[c("time", "cause", "age", "g")], nine)
  x <- cbind(age = d$age, male = as.numeric(d$g == "M"))
  b <- fine_gray(d, x, ifelse(d$g == "9", if (place == "never") NA else 1, 0))
  far <- if (place == "never") -18 else 22
  a <- crr(d$time, d$cause, cbind(x, d$g == "9"), failcode = 1, init = c(b, far), maxiter = 0)
  for (n in 1:2) { add(place, colnames(x)[n], "coef", b[n]); add(place, colnames(x)[n], "se", sqrt(a$var[n, n])) }
}
write.csv(do.call(rbind, R), "monotone_reference.csv", row.names = FALSE, quote = FALSE)
