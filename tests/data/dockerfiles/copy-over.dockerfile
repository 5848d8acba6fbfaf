FROM busybox
RUN mkdir -p /real /d && ln -s /real /alias && echo old >/d/package.json
COPY package.json /alias/
COPY package.json /d/
COPY app /alias
RUN test -L /alias && test -f /real/package.json -a -f /real/main.sh && ! grep -q old /d/package.json
#> ok
#> peer buildah
