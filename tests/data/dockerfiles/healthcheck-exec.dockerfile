FROM busybox
HEALTHCHECK CMD ["true", "a b"]
#> ok
#> config .Healthcheck.Test == ["CMD", "true", "a b"]
