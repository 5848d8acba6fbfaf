FROM busybox
COPY --link=maybe package.json /
#> fails 2:6: COPY --link=maybe: expected true or false
