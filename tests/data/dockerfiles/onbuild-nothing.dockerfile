FROM busybox
ONBUILD
#> fails 2:1: ONBUILD: expected an instruction
