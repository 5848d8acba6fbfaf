FROM busybox named
#> fails 1:14: FROM: 'named': expected AS
