FROM busybox
ENV A=$NOTHING
#> ok
#> warns UndefinedVar
