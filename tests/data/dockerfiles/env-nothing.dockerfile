FROM busybox
ENV
#> fails 2:1: ENV: expected NAME=VALUE
