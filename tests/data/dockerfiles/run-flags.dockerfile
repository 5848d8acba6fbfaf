FROM busybox
RUN --network=none test "$(ls /sys/class/net)" = lo
RUN --security=sandbox --network=none true
RUN -- echo "no flags behind two dashes" >/dashes || true
#> ok
