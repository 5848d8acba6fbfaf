FROM busybox
WORKDIR /etc/passwd/x
#> fails 2: '/etc/passwd' is no directory in the image
