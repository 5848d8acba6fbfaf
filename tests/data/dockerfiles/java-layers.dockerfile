FROM busybox AS extract
WORKDIR /application
COPY app/ .
RUN mkdir -p out/dependencies out/application && mv lib out/dependencies && mv main.sh out/application
FROM busybox
WORKDIR application
COPY --from=extract application/out/dependencies/ ./
COPY --from=0 application/out/application/ ./
RUN test -f lib/a.txt -a -x main.sh
ENTRYPOINT exec ./main.sh "$@"
#> ok
#> peer buildah
#> config .WorkingDir == "/application" and .Entrypoint == ["/bin/sh", "-c", "exec ./main.sh \"$@\""]
