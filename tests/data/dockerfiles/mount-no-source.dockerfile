FROM busybox
RUN --mount=source=nosuch,target=/x true
#> fails nosuch
