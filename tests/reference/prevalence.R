# Limited-duration prevalence by the counting method, written out with survfit: colrec, every seventh patient lost half-way.
suppressMessages(library(survival))
R <- list(); add <- function(...) R[[length(R) + 1]] <<- data.frame(case = ..1, age = ..2, stat = ..3, value = sprintf("%.17g", ..4))
d <- read.csv("colrec.csv"); i <- seq_len(nrow(d)) - 1; lost <- i %% 7 == 3; d$time <- ifelse(lost, d$time %/% 2, d$time); d$dead <- ifelse(lost, 0, d$dead)
index <- as.numeric(as.Date("2001-07-01")); bands <- c(0, 50, 65, 80, Inf); segi <- c(12, 10, 9, 9, 8, 8, 6, 6, 6, 6, 5, 4, 4, 3, 2, 1, .5, .5); w <- c(sum(segi[1:10]), sum(segi[11:13]), sum(segi[14:16]), sum(segi[17:18])) / 100
pop <- list("1" = c(50000, 9000, 7000, 2000), "2" = c(52000, 9500, 8000, 3000))
d$since <- index - d$date; d$attained <- cut(floor(d$age_days / 365.241 + d$since / 365.25 + 1e-9), bands, right = FALSE, labels = FALSE)
g <- function(y, v, m, p) if (p < .5) qgamma(p, y^2 / v, scale = v / y) else { y <- y + m; v <- v + m^2; qgamma(p, y^2 / v, scale = v / y) }
d$p <- NA
for (s in 1:2) for (k in c("colon", "rectum")) { x <- d$sex == s & d$site == k; f <- summary(survfit(Surv(time, dead) ~ 1, d[x, ], timefix = FALSE)); S <- stepfun(f$time, c(1, f$surv)); d$p[x] <- S(d$since[x]) / S(d$time[x]) }
for (years in c(2, 5)) { first <- as.numeric(seq(as.Date("2001-07-01"), by = paste0("-", years, " years"), length.out = 2)[2])
  for (s in c("all", "1", "2")) for (k in c("colon", "rectum")) { x <- d[d$site == k & (s == "all" | d$sex == s) & d$date < index & d$date >= first & !(d$dead == 1 & d$time < d$since), ]
    weight <- ifelse(x$time < x$since, x$p, 1); q <- if (s == "all") pop[[1]] + pop[[2]] else pop[[s]]; nm <- paste(k, s, years)
    for (a in 0:4) { o <- if (a == 0) rep(TRUE, nrow(x)) else x$attained == a; y <- sum(weight[o]); v <- sum(weight[o]^2); P <- if (a == 0) sum(q) else q[a]
      add(nm, a, "lost", sum(x$time[o] < x$since[o])); add(nm, a, "prevalent", y); if (y > 0) { add(nm, a, "low", g(y, v, 1, .025)); add(nm, a, "rate_high", 1e5 * g(y, v, 1, .975) / P) } }
    y <- tapply(weight, factor(x$attained, 1:4), sum, default = 0); v <- tapply(weight^2, factor(x$attained, 1:4), sum, default = 0); z <- 1e5 * w / q; add(nm, 0, "standardised", sum(z * y)); add(nm, 0, "standardised_high", g(sum(z * y), sum(z^2 * v), max(z), .975)) } }
write.csv(do.call(rbind, R), "prevalence_reference.csv", row.names = FALSE, quote = FALSE)
