FROM busybox
ONBUILD ONBUILD RUN true
#> fails 2:9: ONBUILD ONBUILD: expected another instruction
