FROM busybox
EXPOSE 80/http
#> fails EXPOSE: '80/http': expected tcp, udp or sctp
