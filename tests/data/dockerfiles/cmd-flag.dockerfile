FROM busybox
CMD --fast true
#> fails 2:5: CMD has no flag --fast: it has none at all
