FROM busybox
ADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 package.json /x
#> fails ADD --checksum: expected one address to fetch
