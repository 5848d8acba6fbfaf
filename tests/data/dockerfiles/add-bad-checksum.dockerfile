FROM busybox
ADD --checksum=md5:1 https://example.com/x /x
#> fails ADD --checksum=md5:1: expected sha256: and 64 hex digits
