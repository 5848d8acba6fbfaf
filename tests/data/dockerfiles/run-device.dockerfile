FROM busybox
RUN --device=example.com/gpu true
#> fails 2: RUN --device: husk build has no CDI devices
