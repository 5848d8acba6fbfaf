FROM busybox
RNU true
#> fails 2:1: unknown instruction 'RNU': did you mean RUN?
