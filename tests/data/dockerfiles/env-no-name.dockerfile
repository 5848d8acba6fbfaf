FROM busybox
ENV =1
#> fails 2:5: ENV: '=1' has no name
