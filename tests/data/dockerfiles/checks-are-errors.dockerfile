# check=error=true
FROM busybox
CMD echo shell
#> fails 1 warning of checks
