FROM busybox
ENV A=1 B
#> fails 2:9: ENV: 'B' has no '=': expected NAME=VALUE
