FROM busybox AS a
FROM busybox AS A
#> fails 2:17: FROM: a stage 'A' is there already
