FROM busybox
COPY alone
#> fails 2:1: COPY: expected sources and a destination
