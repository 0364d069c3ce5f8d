# The population file of analyses/rectal (a third of the women of Finland for each invented region), and the yearbook's expected answers.
suppressMessages({ library(popEpi); library(epitools); library(data.table) })
R <- list(); add <- function(...) R[[length(R) + 1]] <<- data.frame(block = ..1, term = ..2, stat = ..3, value = sprintf("%.17g", ..4))
p <- as.data.frame(meanpop_fi); p <- p[p$sex == 1 & p$year >= 1993 & p$year <= 2012, ]; p <- p[order(p$year, p$agegroup), ]
f <- data.frame(sex = 2, year = p$year, age = ifelse(p$agegroup == 100, "100+", p$agegroup), person_years = sprintf("%.6f", p$meanpop / 3)); write.csv(f, "../../analyses/rectal/population.csv", row.names = FALSE, quote = FALSE)
d <- do.call(rbind, lapply(1:3, function(k) read.csv(sprintf("../../analyses/rectal/sites/F%d/sire_F%d.csv", k, k)))); d <- d[d$sex == 1, ]; dx <- as.Date(d$dg_date); age <- as.numeric(dx - as.Date(d$bi_date)) / 365.241; y <- as.integer(format(dx, "%Y"))
band <- function(a) pmin(floor(a + 1e-9) %/% 5, 17) + 1; segi <- c(12, 10, 9, 9, 8, 8, 6, 6, 6, 6, 5, 4, 4, 3, 2, 1, .5, .5)
for (s in list(c(1993, 2002), c(2003, 2012))) { i <- y >= s[1] & y <= s[2]; D <- as.numeric(table(factor(band(age[i]), 1:18))); q <- p[p$year >= s[1] & p$year <= s[2], ]; Y <- tapply(q$meanpop, factor(band(q$agegroup), 1:18), sum); nm <- paste(s, collapse = "-")
  add(nm, "all", "cases", sum(D)); add(nm, "all", "crude", 1e5 * sum(D) / sum(Y)); a <- ageadjust.direct(D, Y, stdpop = segi); for (x in c("adj.rate", "lci", "uci")) add(nm, "world", x, 1e5 * a[[x]]); add(nm, "0-74", "cumulative", 100 * sum(5 * D[1:15] / Y[1:15])) }
z <- expand.grid(b = 1:18, y = 1993:2012); z$D <- mapply(function(b, t) sum(band(age) == b & y == t), z$b, z$y); z$Y <- mapply(function(b, t) sum(p$meanpop[band(p$agegroup) == b & p$year == t]), z$b, z$y); z <- z[z$b %in% z$b[z$D > 0], ]
g <- glm(D ~ 0 + factor(b) + y + offset(log(Y)), poisson, z, control = glm.control(epsilon = 1e-14, maxit = 100)); add("trend", "poisson", "percent", 100 * expm1(coef(g)["y"]))
index <- as.Date("2012-01-01"); alive <- !(d$status > 0 & as.Date(d$ex_date) < index) & dx < index
for (n in c(5, 10, 20)) { first <- seq(index, by = paste0("-", n, " years"), length.out = 2)[2]; k <- sum(alive & dx >= first); add("prevalence", n, "n", k); add("prevalence", n, "rate", 1e5 * k / (sum(p$meanpop[p$year %in% 2011:2012]) / 2)) }
write.csv(do.call(rbind, R), "finland_reference.csv", row.names = FALSE, quote = FALSE)
