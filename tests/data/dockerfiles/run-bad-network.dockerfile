FROM busybox
RUN --network=bridge true
#> fails RUN --network=bridge: expected default, none or host
