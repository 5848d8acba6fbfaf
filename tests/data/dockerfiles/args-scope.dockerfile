ARG OUTSIDE=1
FROM busybox AS one
ARG INSIDE=2
RUN test "$INSIDE" = 2 && test -z "${OUTSIDE-}"
FROM busybox
RUN test -z "${INSIDE-}"
LABEL l=${OUTSIDE:-unset}
#> ok
#> with --build-arg OUTSIDE=9
#> config .Labels == {"l": "unset"}
