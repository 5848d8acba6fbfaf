# --parents of files, of directories that are sources themselves, from the pivot on, and with ** between.
FROM busybox AS one
COPY --parents app/lib src/sub/ /dirs/
COPY --parents ./app/./lib /pivot/
COPY --parents app/lib/a.txt package.json /files/
COPY --parents src/**/*.js /deep/
COPY --parents --exclude=**/*.md app/lib /less/
COPY --parents=false app/lib/a.txt /flat/
RUN find /dirs /pivot /files /deep /less /flat -type f | sort | xargs >/list && \
    [ "$(cat /list)" = "/deep/src/index.js /deep/src/sub/deep.js /dirs/app/lib/a.txt /dirs/app/lib/b.md /dirs/src/sub/deep.js /files/app/lib/a.txt /files/package.json /flat/a.txt /less/app/lib/a.txt /pivot/lib/a.txt /pivot/lib/b.md" ]
FROM scratch
COPY --from=one --parents /dirs/./app /deep/src/index.js /
#> ok
