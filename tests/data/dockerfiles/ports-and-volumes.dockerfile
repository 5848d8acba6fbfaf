FROM busybox
EXPOSE 80 443/tcp 53/UDP 9000-9002/sctp 80
VOLUME ["/a", "/b c"]
VOLUME /d /e
#> ok
#> warns ExposeProtoCasing
#> config (.ExposedPorts | keys) == ["443/tcp", "53/udp", "80/tcp", "9000/sctp", "9001/sctp", "9002/sctp"]
#> config (.Volumes | keys) == ["/a", "/b c", "/d", "/e"]
