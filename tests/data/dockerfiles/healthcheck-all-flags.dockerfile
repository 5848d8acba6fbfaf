# Every flag of HEALTHCHECK in one.
FROM busybox
HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --start-interval=2s --retries=4 \
  CMD wget -q localhost || exit 1
#> ok
#> config .Healthcheck == {"Test": ["CMD-SHELL", "wget -q localhost || exit 1"], "Interval": 300000000000, "Timeout": 3000000000, "StartPeriod": 1000000000, "StartInterval": 2000000000, "Retries": 4}
