FROM busybox
HEALTHCHECK none
#> ok
#> config .Healthcheck.Test == ["NONE"]
