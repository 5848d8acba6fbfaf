FROM busybox
RUN --security=insecure true
#> fails 2: RUN --security=insecure: the Dockerfile may not decide that: give --allow security.insecure
