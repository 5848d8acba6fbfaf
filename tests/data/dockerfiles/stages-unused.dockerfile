FROM busybox AS broken
RUN false
FROM nosuch.invalid/image AS never
FROM busybox AS wanted
LABEL reached=yes
FROM broken
RUN exit 9
#> ok
#> with --target wanted
#> config .Labels == {"reached": "yes"}
