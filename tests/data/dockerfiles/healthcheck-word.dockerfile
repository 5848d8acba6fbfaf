FROM busybox
HEALTHCHECK curl localhost
#> fails 2:13: HEALTHCHECK: 'curl': expected CMD and a command, or NONE
