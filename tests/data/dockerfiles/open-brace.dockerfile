FROM busybox
ENV A=${HOME
#> fails '${HOME' has no end: expected '}'
