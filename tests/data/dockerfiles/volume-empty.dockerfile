FROM busybox
VOLUME [""]
#> fails VOLUME: expected a path that is not empty
