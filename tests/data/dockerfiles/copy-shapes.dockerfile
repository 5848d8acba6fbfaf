FROM busybox
COPY app /into
COPY app/ /into-slash/
COPY app/lib/*.txt src/index?js /many/
COPY ["with space.txt", "/names with/space.txt"]
COPY package.json /renamed.json
COPY package.json /dir/
COPY . /all
RUN test -f /into/lib/a.txt -a -f /into-slash/main.sh -a -f /many/a.txt -a -f /many/index.js && \
    test "$(cat '/names with/space.txt')" = space && test -f /renamed.json -a -f /dir/package.json && \
    test -L /into/link && test "$(readlink /into/link)" = main.sh && test ! -e /all/secret.env && test -d /all/empty
#> ok
#> peer buildah
