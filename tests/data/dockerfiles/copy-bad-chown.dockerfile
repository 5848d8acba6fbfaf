FROM busybox
COPY --chown=nosuchuser package.json /
#> fails --chown: 
