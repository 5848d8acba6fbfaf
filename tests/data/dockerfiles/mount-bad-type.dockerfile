FROM busybox
RUN --mount=type=volume,target=/x true
#> fails 2:5: --mount: type 'volume': expected one of
