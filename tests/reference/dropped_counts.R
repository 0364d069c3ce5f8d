#!/usr/bin/env Rscript
# Counts whose columns are empty, constant or combinations of others: what glm, MASS::glm.nb and lme4::glmer keep and estimate.
# lme4 is 1.1-31, the rest as in session.txt. Writes dropped_counts.csv and dropped_counts_reference.csv. Usage, in this folder: Rscript dropped_counts.R
suppressMessages({ library(MASS); library(lme4) })
options(digits = 17)
R <- list()
add <- function(case, model, term, stat, value) R[[length(R) + 1]] <<- data.frame(case, model, term, stat, value = sprintf("%.17g", value))

all <- expand.grid(age = c(0, 5, 10, 15), year = 2000:2003, sex = 1:2, site = 1:3)
k <- seq_len(nrow(all))
all$person_years <- 1000 * (3 + k %% 5)
all$cases <- floor((4 + all$age + 3 * all$sex + 4 * all$site) * (0.15 + 2.5 * abs(sin(1.7 * k + 0.3 * k^2))^3))
cases <- list(
  empty = all[all$age != 10, ],
  reference = all[all$age != 0, ],
  constant = all[all$year == 2002, ],
  collinear = all[(all$age == 15) == (all$sex == 2), ],
  # Each site has a year of its own.
  sites = all[all$year == 2000 + ifelse(all$site == 3, 3, all$site - 1), ])

exact <- glm.control(epsilon = 1e-14, maxit = 200)
told <- function(case, model, names, b, se) for (n in seq_along(names)) { add(case, model, names[n], "coef", b[n]); add(case, model, names[n], "se", se[n]) }
for (case in names(cases)) {
  d <- cases[[case]]
  d$age <- factor(d$age, c(0, 5, 10, 15)); d$sex <- factor(d$sex, 1:2); d$site <- factor(d$site); d$year <- d$year - 2001.5
  for (site in c("none", "fixed")) {
    X <- model.matrix(if (site == "none") ~ age + sex + year else ~ site + age + sex + year, d)
    # What glm keeps; its rank is found with a tolerance of epsilon / 1000, hence the second fit.
    kept <- !is.na(coef(glm(cases ~ 0 + X + offset(log(person_years)), poisson, d)))
    for (n in colnames(X)[!kept]) add(case, site, n, "dropped", 1)
    X <- X[, kept]
    f <- glm(cases ~ 0 + X + offset(log(person_years)), poisson, d, control = exact); model <- paste0("poisson-", site)
    told(case, model, colnames(X), coef(f), sqrt(diag(vcov(f)))); add(case, model, "model", "log_likelihood", as.numeric(logLik(f)))
    if (site == "none") {
      f <- glmer(cases ~ 0 + X + offset(log(person_years)) + (1 | site), d, poisson, nAGQ = 15,
                 control = glmerControl(optimizer = "bobyqa", tolPwrss = 1e-12, optCtrl = list(rhoend = 1e-9)))
      told(case, "poisson-random", colnames(X), fixef(f), sqrt(diag(as.matrix(vcov(f)))))
    }
    # Fewer cells are too few for a dispersion.
    if (nrow(d) < 40) next
    f <- glm.nb(cases ~ 0 + X + offset(log(person_years)), d, init.theta = 2, control = glm.control(epsilon = 1e-12, maxit = 100)); model <- paste0("negative_binomial-", site)
    told(case, model, colnames(X), coef(f), sqrt(diag(vcov(f)))); add(case, model, "model", "log_likelihood", as.numeric(logLik(f)))
    add(case, model, "model", "kappa", 1 / f$theta)
  }
}
write.csv(do.call(rbind, lapply(names(cases), function(n) cbind(case = n, cases[[n]]))), "dropped_counts.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, R), "dropped_counts_reference.csv", row.names = FALSE, quote = FALSE)
