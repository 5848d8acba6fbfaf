FROM busybox AS parent
ONBUILD COPY package.json /got/
ONBUILD ARG VERSION=7
ONBUILD LABEL version=$VERSION
FROM parent
RUN test -f /got/package.json
#> ok
#> peer buildah
#> config .Labels == {"version": "7"} and .OnBuild == null
