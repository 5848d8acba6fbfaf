FROM busybox
ENV NAME
#> fails 2:5: ENV: 'NAME' has no value: expected NAME=VALUE
