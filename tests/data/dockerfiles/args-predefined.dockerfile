FROM busybox
RUN test "$HTTP_PROXY-$no_proxy" = http://p:1-x
ARG TARGETOS
ARG TARGETARCH
ARG BUILDPLATFORM
RUN test "$TARGETOS" = linux && test -n "$TARGETARCH" && test "${BUILDPLATFORM%/*}" = linux
LABEL os=$TARGETOS
#> ok
#> with --build-arg HTTP_PROXY=http://p:1 --build-arg no_proxy=x
#> config .Labels == {"os": "linux"} and (.Env | length) == 1
