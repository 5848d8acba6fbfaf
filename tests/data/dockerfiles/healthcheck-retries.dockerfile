FROM busybox
HEALTHCHECK --retries=-1 CMD true
#> fails HEALTHCHECK --retries
