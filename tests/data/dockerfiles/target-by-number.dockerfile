FROM busybox
LABEL n=0
FROM busybox
LABEL n=1
#> ok
#> with --target 0
#> config .Labels == {"n": "0"}
