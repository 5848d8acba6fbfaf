FROM busybox
HEALTHCHECK --timeout=1us CMD true
#> fails HEALTHCHECK --timeout=1us: expected at least 1ms
