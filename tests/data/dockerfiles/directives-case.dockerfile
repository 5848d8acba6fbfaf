# SYNTAX = docker/dockerfile:1.4
#escape=\
#  Check = skip=JSONArgsRecommended
from busybox
cmd echo quiet
#> ok
#> quiet JSONArgsRecommended
