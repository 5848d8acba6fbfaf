FROM busybox
COPY *.nosuch /dir/
#> fails 2: COPY: '*.nosuch' is not in the context
