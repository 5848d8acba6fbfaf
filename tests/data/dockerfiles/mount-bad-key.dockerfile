FROM busybox
RUN --mount=type=bind,tarjet=/x true
#> fails 2:5: --mount: unknown key 'tarjet': did you mean target?
