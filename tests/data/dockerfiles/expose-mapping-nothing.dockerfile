FROM busybox
EXPOSE 127.0.0.1:8080:
#> fails 2: EXPOSE: '127.0.0.1:8080:': expected the container's port
