FROM busybox
HEALTHCHECK NONE please
#> fails 2:18: HEALTHCHECK: expected nothing after NONE
