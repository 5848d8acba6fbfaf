FROM busybox
WORKDIR
#> fails 2:1: WORKDIR: expected a path
