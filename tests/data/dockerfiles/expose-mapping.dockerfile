FROM busybox
EXPOSE 127.0.0.1:8080:80 9000:90/udp [::1]:1-2:3-4
#> ok
#> warns ExposeInvalidFormat
#> config .ExposedPorts == {"80/tcp": {}, "90/udp": {}, "3/tcp": {}, "4/tcp": {}}
