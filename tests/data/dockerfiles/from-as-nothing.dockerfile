FROM busybox AS
#> fails 1:14: FROM: expected one name after AS
