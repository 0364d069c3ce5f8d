#!/usr/bin/env Rscript
suppressMessages({ library(survival); library(metafor); library(metadat) })
writeLines(sub("^(Matrix products|BLAS|LAPACK).*", "", capture.output(sessionInfo())), "session.txt")
