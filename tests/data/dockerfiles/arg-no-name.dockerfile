FROM busybox
ARG =x
#> fails 2:5: ARG: '=x' has no name
