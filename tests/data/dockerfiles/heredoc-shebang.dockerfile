FROM busybox
RUN <<EOF
#!/bin/awk -f
BEGIN { print "of awk" >"/said" }
EOF
RUN grep -qx 'of awk' /said
#> ok
