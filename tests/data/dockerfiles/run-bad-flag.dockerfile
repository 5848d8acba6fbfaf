FROM busybox
RUN --mont=type=cache,target=/c true
#> fails 2:5: RUN has no flag --mont: did you mean --mount?
