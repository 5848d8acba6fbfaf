FROM busybox
ARG
#> fails 2:1: ARG: expected NAME or NAME=VALUE
