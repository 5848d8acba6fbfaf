# escape=x
FROM busybox
#> fails 1:10: escape='x': expected \ or `
