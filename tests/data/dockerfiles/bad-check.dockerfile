# check=eror=true
FROM busybox
#> fails 1:9: check=eror=true: expected skip=NAMES, experimental=NAMES or error=true
