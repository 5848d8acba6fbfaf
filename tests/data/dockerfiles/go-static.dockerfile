FROM busybox AS build
WORKDIR /go/src
COPY . .
RUN --mount=type=cache,target=/root/.cache printf '#!/bin/sh\n' >/go/bin-app && chmod 755 /go/bin-app
FROM scratch
COPY --from=build /go/bin-app /app
ENTRYPOINT ["/app"]
#> ok
#> config .Entrypoint == ["/app"] and .Cmd == null and .Env == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
