# escape=\
# escape=\
FROM busybox
#> fails 2:10: this directive is there already
