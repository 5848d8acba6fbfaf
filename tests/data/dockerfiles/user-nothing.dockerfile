FROM busybox
USER
#> fails 2:1: USER: expected a user
