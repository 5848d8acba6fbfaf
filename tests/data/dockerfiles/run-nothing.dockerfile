FROM busybox
RUN
#> fails 2:1: RUN: expected a command
