FROM busybox
COPY --chwon=1 package.json /
#> fails 2:6: COPY has no flag --chwon: did you mean --chown?
