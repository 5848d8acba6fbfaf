FROM busybox
ARG VERSION
ENV V="${VERSION:?give --build-arg VERSION}"
#> fails VERSION: give --build-arg VERSION
