FROM busybox
LABEL one
#> fails 2:7: LABEL: 'one' has no value
