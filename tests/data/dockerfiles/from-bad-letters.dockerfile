FROM busybox AS a/b
#> fails 1:17: FROM: 'a/b': expected letters, digits
