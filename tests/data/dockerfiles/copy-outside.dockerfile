FROM busybox
COPY ../../etc/passwd /stolen
#> fails 2: COPY: '../../etc/passwd' is not in the context
