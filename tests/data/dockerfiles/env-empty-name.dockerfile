FROM busybox
ENV ${NOBODY}=x
#> fails 2: ENV: the name is empty: expected NAME=VALUE
