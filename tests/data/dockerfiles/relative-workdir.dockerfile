FROM busybox
WORKDIR app
#> ok
#> warns WorkdirRelativePath
