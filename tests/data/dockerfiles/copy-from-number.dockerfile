FROM busybox
COPY --from=1 /bin/sh /sh
#> fails 2:6: there is no stage 1 before this one
