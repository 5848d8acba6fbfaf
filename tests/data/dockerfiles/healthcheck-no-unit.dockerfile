FROM busybox
HEALTHCHECK --interval=1 CMD true
#> fails 2: HEALTHCHECK --interval=1: expected a unit behind the number: '1s'
