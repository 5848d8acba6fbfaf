FROM busybox
RUN --mount=from=later,target=/x true
FROM busybox AS later
#> with --target 0
#> fails 2:5: stage 'later' comes later: expected an earlier one
