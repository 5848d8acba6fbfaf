FROM busybox
RUN --mount=type=cache true
#> fails 2: --mount: a mount of type cache needs target=PATH
