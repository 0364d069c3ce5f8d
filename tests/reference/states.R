#!/usr/bin/env Rscript
# Oracles of multi-state and recurrent-event models: mgus2 as an illness–death model, cgd (survival). Writes mgus_states.csv, cgd.csv
# and states_reference.csv. Usage, in this folder: Rscript states.R
suppressMessages(library(survival))
options(digits = 17)
R <- list()
add <- function(block, term, stat, value) R[[length(R) + 1]] <<- data.frame(block, term, stat, value = sprintf("%.17g", value))
w <- function(d, file) write.csv(d, file, row.names = FALSE, quote = FALSE, na = "")
m <- survival::mgus2; m$futime <- pmax(m$futime, 1)
first <- data.frame(id = m$id, start = 0, stop = ifelse(m$pstat == 1, pmin(m$ptime, m$futime - 0.5), m$futime), state = "mgus", nxt = ifelse(m$pstat == 1, "pcm", ifelse(m$death == 1, "dead", "censored")))
first$stop <- pmax(2 * first$stop, 1)
pc <- m[m$pstat == 1, ]; second <- data.frame(id = pc$id, start = first$stop[m$pstat == 1], stop = 2 * pc$futime, state = "pcm", nxt = ifelse(pc$death == 1, "dead", "censored"))
second <- second[second$stop > second$start, ]
d <- rbind(first, second); d <- d[order(d$id, d$start), ]; w(d, "mgus_states.csv")
d$ev <- factor(d$nxt, c("censored", "pcm", "dead")); f <- survfit(Surv(start, stop, ev) ~ 1, id = id, data = d)
for (t in c(120, 240, 480)) { i <- max(which(f$time <= t)); for (s in seq_along(f$states)) add("pstate", paste0(t, "_", f$states[s]), "p", f$pstate[i, s]) }
c1 <- survival::cgd; cg <- data.frame(id = c1$id, start = c1$tstart, stop = c1$tstop, event = c1$status); w(cg, "cgd.csv")
f <- survfit(Surv(start, stop, event) ~ 1, id = id, data = cg)
for (t in c(100, 200, 300)) { i <- max(which(f$time <= t)); add("cgd", t, "count", f$cumhaz[i]); add("cgd", t, "se", f$std.chaz[i]) }
w(do.call(rbind, R), "states_reference.csv")
