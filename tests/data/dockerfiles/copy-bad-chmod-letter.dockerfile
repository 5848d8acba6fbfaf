FROM busybox
COPY --chmod=g=ux package.json /
#> fails 2: --chmod: '=ux': expected 'u' alone, as in g=u
