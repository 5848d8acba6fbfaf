FROM busybox
RUN --mount=type=tmpfs,target=/x,sharing=locked true
#> fails 2:5: --mount: a mount of type tmpfs has no sharing
