#!/usr/bin/env Rscript
suppressMessages({ library(survival); library(metafor); library(metadat); library(relsurv); library(popEpi); library(Epi); library(cmprsk); library(numDeriv); library(epitools); library(segmented); library(MASS) })
writeLines(sub("^(Matrix products|BLAS|LAPACK).*", "", capture.output(sessionInfo())), "session.txt")
