FROM busybox AS 1st
#> fails 1:17: FROM: '1st': expected a stage's name that begins with a letter
