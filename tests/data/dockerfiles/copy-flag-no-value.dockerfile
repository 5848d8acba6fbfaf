FROM busybox
COPY --from= package.json /
#> fails 2:6: COPY --from: expected --from=VALUE
