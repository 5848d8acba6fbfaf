FROM busybox
EXPOSE
#> fails 2:1: EXPOSE: expected a port
