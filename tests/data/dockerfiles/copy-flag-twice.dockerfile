FROM busybox
COPY --chown=1 --chown=2 package.json /
#> fails COPY --chown: it is given twice
