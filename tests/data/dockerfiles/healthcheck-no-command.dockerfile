FROM busybox
HEALTHCHECK --interval=5s CMD
#> fails 2:27: HEALTHCHECK CMD: expected a command
