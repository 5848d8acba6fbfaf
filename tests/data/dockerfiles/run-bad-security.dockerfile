FROM busybox
RUN --security=none true
#> fails RUN --security=none: expected sandbox or insecure
