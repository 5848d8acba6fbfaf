FROM busybox
ONBUILD FROM busybox
#> fails 2:9: ONBUILD FROM: expected another instruction
