RUN true
FROM busybox
#> fails 1:1: RUN before the first FROM
