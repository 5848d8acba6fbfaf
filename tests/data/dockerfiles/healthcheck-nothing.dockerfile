FROM busybox
HEALTHCHECK
#> fails 2:1: HEALTHCHECK: expected CMD and a command, or NONE
