FROM busybox
EXPOSE http
#> fails 2: EXPOSE: 'http'
