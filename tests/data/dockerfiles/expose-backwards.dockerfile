FROM busybox
EXPOSE 90-80
#> fails EXPOSE: '90-80': expected the smaller port first
