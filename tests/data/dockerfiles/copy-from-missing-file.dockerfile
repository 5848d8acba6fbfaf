FROM busybox AS a
FROM busybox
COPY --from=a /nosuch /x
#> fails 3: COPY: '/nosuch' is not in 
