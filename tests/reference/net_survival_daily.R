#!/usr/bin/env Rscript
# Net survival by its definition, a step every day, in base R: Pohar Perme, Ederer I and II and Hakulinen for the first 150 patients of
# colrec, for all of colrec by site, and for two men, one of whom dies after ten days (slopop). Nobody leaves on most days: expected hazards of these days count too.
# Writes net_survival_daily_reference.csv. Usage, in this folder: Rscript net_survival_daily.R
options(digits = 17)
pop <- read.csv("slopop.csv")
years <- sort(unique(pop$year)); ages <- sort(unique(pop$age))
haz <- array(NA, c(2, length(years), length(ages)))
haz[cbind(pop$sex, match(pop$year, years), match(pop$age, ages))] <- pop$hazard_per_day
starts <- as.integer(as.Date(paste0(years, "-01-01")))
# Hazard on each of `days` days from diagnosis: attained age in years of 365.241 days, calendar year of the day.
course <- function(sex, age, date, days) {
  d <- seq_len(days) - 1
  a <- pmin(floor((age + d) / 365.241 + 1e-12), max(ages)); y <- pmax(findInterval(date + d, starts), 1)
  haz[cbind(sex, y, match(a, ages))]
}
out <- NULL
run <- function(block, x, at, closing = NULL) {
  days <- max(at); n <- nrow(x)
  lambda <- t(sapply(seq_len(n), function(i) course(x$sex[i], x$age[i], x$date[i], days)))
  sp <- exp(-t(apply(lambda, 1, cumsum)))                     # S_P at the end of each day
  before <- cbind(1, sp[, -days, drop = FALSE])               # and at its start
  pp <- e2 <- km <- 1; hk <- 1; f <- p <- 0; s <- 1
  last <- if (is.null(closing)) x$time else ifelse(x$dead == 1, pmax(closing - x$date, x$time), x$time)
  for (u in seq_len(days)) {
    y <- x$time >= u; dn <- x$time == u & x$dead == 1
    if (!any(y)) break
    w <- 1 / sp[y, u]; l <- lambda[y, u]
    # Within the day S_P falls exponentially: the average of its inverse over the day.
    mean_w <- (1 / before[y, u]) * ifelse(l > 0, expm1(l) / l, 1)
    pp <- pp * (1 - (sum(dn[y] * w) / sum(w) - sum(mean_w * l) / sum(mean_w)))
    e2 <- e2 * (1 - (sum(dn) / sum(y) - sum(y * lambda[, u]) / sum(y)))
    km <- km * (1 - sum(dn) / sum(y))
    b <- sum(y * lambda[, u]) / sum(y); h <- sum(dn) / sum(y)
    p <- p + s * b; f <- f + s * (h - b); s <- s * (1 - h)
    open <- last >= u
    hk <- hk * (1 - sum(open * before[, u] * (1 - exp(-lambda[, u]))) / sum(open * before[, u]))
    if (u %in% at) {
      row <- c(`pohar-perme` = pp, ederer2 = e2, ederer1 = km / mean(sp[, u]), hakulinen = km / hk, disease = f, other = p)
      out <<- rbind(out, data.frame(block, day = u, stat = names(row), value = sprintf("%.17g", row)))
    }
  }
}
cr <- read.csv("colrec.csv")[1:150, ]; names(cr)[2] <- "age"
run("colrec", cr, round(1:5 * 365.241), closing = as.integer(as.Date("2000-12-31")))
two <- data.frame(sex = 1, age = 29220, date = as.integer(as.Date("1995-01-01")), time = c(10, 3000), dead = c(1, 0))
run("two", two, round(1:5 * 365.241))
# The example of colorectal cancer, by site.
all <- read.csv("colrec.csv"); names(all)[2] <- "age"
for (k in c("colon", "rectum")) run(k, all[all$site == k, ], round(c(1, 3, 5) * 365.241))
write.csv(out, "net_survival_daily_reference.csv", row.names = FALSE, quote = FALSE)
