FROM busybox
HEALTHCHECK NONE
HEALTHCHECK --interval=1m30s --timeout=3s --start-period=5s --start-interval=250ms --retries=5 CMD wget -qO- http://localhost/ || exit 1
#> ok
#> config .Healthcheck == {"Test": ["CMD-SHELL", "wget -qO- http://localhost/ || exit 1"], "Interval": 90000000000, "Timeout": 3000000000, "StartPeriod": 5000000000, "StartInterval": 250000000, "Retries": 5}
