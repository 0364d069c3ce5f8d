#!/usr/bin/env Rscript
# Oracles of net survival, excess hazards and standardised ratios: colrec with slopop (relsurv), sire with popmort (popEpi),
# rdata with slopop. Writes the rows and life tables used and net_survival_reference.csv. Usage, in this folder: Rscript net_survival.R
suppressMessages({ library(relsurv); library(popEpi); library(Epi) })
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
w <- function(d, file) write.csv(d, file, row.names = FALSE, quote = FALSE, na = "")
table_of <- function(rt, file) { a <- as.data.frame.table(unclass(rt), responseName = "hazard_per_day")
  a$sex <- ifelse(a$sex == "male", 1, 2); a$hazard_per_day <- sprintf("%.17g", a$hazard_per_day)
  w(a[, c("sex", "year", "age", "hazard_per_day")], file) }
data(slopop); table_of(slopop, "slopop.csv")
sexw <- function(x) ifelse(x == "male" | x == 1, 1, 2)
day0 <- as.Date("1960-01-01")
data(colrec); cr <- data.frame(sex = colrec$sex, age_days = colrec$age, date = as.integer(as.Date(as.numeric(colrec$diag), origin = "1960-01-01")),
  time = colrec$time, dead = colrec$stat, site = as.character(colrec$site)); w(cr, "colrec.csv")
data(rdata); rd <- data.frame(sex = rdata$sex, age_days = round(rdata$age * 365.241), date = as.integer(as.Date(as.numeric(rdata$year), origin = "1960-01-01")),
  time = rdata$time, dead = rdata$cens, agegr = as.character(rdata$agegr)); w(rd, "rdata.csv")
rdata$age_days <- rd$age_days

surv <- function(block, f, times) { i <- sapply(times, function(t) max(which(f$time <= t)))
  add_all <- function(stat, v) for (k in seq_along(times)) add(block, times[k], stat, v[i[k]])
  add_all("surv", f$surv); add_all("se_log", f$std.err); add_all("lower", f$lower); add_all("upper", f$upper) }
at <- round(c(1, 3, 5) * 365.241)
for (m in c("pohar-perme", "ederer2", "ederer1")) {
  surv(paste0("colrec_", m), rs.surv(Surv(time, stat) ~ 1, data = colrec, ratetable = slopop, rmap = list(age = age, sex = sex, year = diag), method = m), at) }
# Every day a step: then the steps of relsurv's integral are ours.
surv("colrec_pohar-perme_daily", rs.surv(Surv(time, stat) ~ 1, data = colrec, ratetable = slopop, rmap = list(age = age, sex = sex, year = diag),
  add.times = 1:1827, type = "fleming-harrington"), at)
rt <- round(c(1, 3, 5, 10) * 365.241)
for (m in c("pohar-perme", "ederer2", "ederer1")) surv(paste0("rdata_", m),
  rs.surv(Surv(time, cens) ~ 1, data = rdata, ratetable = slopop, rmap = list(age = age_days, sex = sex, year = year), method = m), rt)
for (s in 1:2) { d <- rdata[rdata$sex == s, ]; surv(paste0("rdata_pohar-perme_sex", s),
  rs.surv(Surv(time, cens) ~ 1, data = d, ratetable = slopop, rmap = list(age = age_days, sex = sex, year = year)), rt) }
# Expected survival by the definition of Ederer I and Hakulinen (survival::survexp).
fin <- max(colrec$time + as.numeric(colrec$diag)); pot <- ifelse(colrec$stat == 1, fin - as.numeric(colrec$diag), colrec$time)
add("colrec", "closing", "day", as.integer(as.Date(fin, origin = "1960-01-01")))
e1 <- survexp(~1, data = colrec, rmap = list(age = age, sex = sex, year = diag), ratetable = slopop, times = at, method = "ederer")
colrec$pot <- pot
hk <- survexp(pot ~ 1, data = colrec, rmap = list(age = age, sex = sex, year = diag), ratetable = slopop, times = at, method = "hakulinen")
km <- summary(survfit(Surv(time, stat) ~ 1, colrec), times = at)$surv
for (k in 1:3) { add("colrec_survexp", at[k], "ederer1", km[k] / e1$surv[k]); add("colrec_survexp", at[k], "hakulinen", km[k] / hk$surv[k]) }
t <- rs.diff(Surv(time, cens) ~ sex, data = rdata, ratetable = slopop, rmap = list(age = age_days, sex = sex, year = year))
add("rdata_rsdiff", "sex", "statistic", t$test.stat); add("rdata_rsdiff", "sex", "p", t$p.value)
cp <- cmp.rel(Surv(time, cens) ~ 1, data = rdata, ratetable = slopop, rmap = list(age = age_days, sex = sex, year = year), add.times = rt)
for (k in rt) { i <- which(cp$causeSpec$time == k)[1]
  for (n in c("causeSpec", "population")) { add("rdata_cmprel", k, paste0(n, "_est"), cp[[n]]$est[i]); add("rdata_cmprel", k, paste0(n, "_var"), cp[[n]]$var[i]) } }
# Excess hazard regression: full likelihood and Poisson.
for (m in c("max.lik", "glm.poi")) { f <- rsadd(Surv(time, cens) ~ sex + as.factor(agegr), data = rdata, ratetable = slopop, int = 5, method = m,
  rmap = list(age = age_days, sex = sex, year = year)); cf <- coef(f); v <- sqrt(diag(if (is.null(f$var)) chol2inv(qr.R(f$qr)) else f$var))
  for (n in seq_along(cf)) { add(paste0("rsadd_", m), n, "coef", cf[n]); add(paste0("rsadd_", m), n, "se", v[n]) } }

# Finland: sire.
data(sire); data(popmort); data(ICSS)
pm <- data.frame(popmort); pf <- data.frame(sex = ifelse(pm$sex == 0, 1, 2), year = pm$year, age = pm$agegroup, hazard_per_year = sprintf("%.17g", pm$haz))
w(pf, "popmort.csv")
sd <- as.data.frame(sire); sd <- sd[sd$dg_date < sd$ex_date, ]
out <- data.frame(sex = ifelse(sd$sex == 0, 1, 2), age = sprintf("%.17g", sd$dg_age), date = as.integer(as.Date(sd$dg_date)), time = as.integer(sd$ex_date) - as.integer(sd$dg_date),
  status = sd$status); w(out, "sire.csv")
sd$entry <- get.yrs(sd$dg_date); sd$exit <- get.yrs(sd$ex_date)
L <- Lexis(entry = list(FUT = 0, AGE = sd$dg_age, CAL = sd$entry), exit = list(CAL = sd$exit), data = sd, exit.status = factor(sd$status, levels = 0:2, labels = c("alive", "canD", "othD")), merge = TRUE)
pmx <- data.frame(popmort); names(pmx) <- c("sex", "CAL", "AGE", "haz")
tab <- function(block, brk, method, ...) { st <- as.data.frame(survtab(Surv(time = FUT, event = lex.Xst) ~ 1, data = L, surv.type = "surv.rel", surv.method = "hazard", relsurv.method = method, breaks = brk, pophaz = pmx, ...))
  for (y in c(1, 3, 5)) { r <- st[abs(st$Tstop - y) < 1e-6, ]; for (s in c("", ".lo", ".hi")) { n <- paste0("r.", method, s); if (n %in% names(r)) add(block, y, paste0("r", s), r[[n]]) }
    add(block, y, "se", r[[paste0("SE.r.", method)]]) } }
tab("sire_e2", list(FUT = seq(0, 5, 1/12)), "e2"); tab("sire_pp", list(FUT = seq(0, 5, 1/12)), "pp")
tab("sire_e2_period", list(FUT = seq(0, 5, 1/12), CAL = c(2008, 2013)), "e2")
L$agegr <- cut(L$dg_age, c(0, 45, 55, 65, 75, Inf), right = FALSE)
st <- as.data.frame(survtab(Surv(time = FUT, event = lex.Xst) ~ adjust(agegr), data = L, surv.type = "surv.rel", surv.method = "hazard", relsurv.method = "e2", breaks = list(FUT = seq(0, 5, 1/12)), pophaz = pmx, weights = c(7, 12, 23, 29, 29)))
for (y in c(1, 3, 5)) { r <- st[abs(st$Tstop - y) < 1e-6, ]; add("sire_e2_icss1", y, "r", r$r.e2.as); add("sire_e2_icss1", y, "r.lo", r$r.e2.as.lo); add("sire_e2_icss1", y, "r.hi", r$r.e2.as.hi) }
w(do.call(rbind, R), "net_survival_reference.csv")
