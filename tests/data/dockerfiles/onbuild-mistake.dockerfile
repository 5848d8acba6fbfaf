FROM busybox
ONBUILD RNU true
#> fails 2:9: unknown instruction 'RNU': did you mean RUN?
