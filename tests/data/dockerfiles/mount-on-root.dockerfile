FROM busybox
RUN --mount=type=tmpfs,target=/ true
#> fails 2: --mount: the target cannot be /
