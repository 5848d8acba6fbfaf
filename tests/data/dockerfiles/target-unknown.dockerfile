FROM busybox AS a
FROM busybox AS b
#> with --target c
#> fails has no stage 'c': expected a, b
