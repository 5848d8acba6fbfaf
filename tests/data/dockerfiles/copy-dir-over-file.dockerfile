FROM busybox
COPY app /etc/passwd
#> fails 2: COPY: '/etc/passwd' is no directory
