FROM busybox
RUN --mount=type=cache,target=/x,mode=77777 true
#> fails 2:5: --mount: mode: expected at most 07777
