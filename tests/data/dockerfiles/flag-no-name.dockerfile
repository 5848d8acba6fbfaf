FROM busybox
COPY --=x package.json /
#> fails 2:6: COPY --=x: expected --NAME=VALUE
