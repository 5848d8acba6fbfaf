ARG TAG=latest
ARG IMAGE=busybox:$TAG
FROM $IMAGE
ARG TAG
ARG GIVEN=default
ARG EMPTY
ARG a=1 b=2
ENV a=3
RUN test "$TAG-$GIVEN-${EMPTY:-none}-$a-$b" = latest-given-none-3-2
LABEL tag=$TAG given=$GIVEN
#> ok
#> with --build-arg GIVEN=given
#> config .Labels == {"tag": "latest", "given": "given"} and .Env[-1] == "a=3" and (.Env | length) == 2
