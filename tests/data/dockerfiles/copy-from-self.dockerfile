FROM busybox AS me
COPY --from=me /bin/sh /sh
#> fails 2:6: 'me' is this stage itself: expected an earlier one
