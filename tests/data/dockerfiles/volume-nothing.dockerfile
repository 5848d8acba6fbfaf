FROM busybox
VOLUME
#> fails 2:1: VOLUME: expected a path
