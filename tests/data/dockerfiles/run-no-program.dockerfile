FROM busybox
RUN ["/nosuch"]
#> fails 2: exec '/nosuch': No such file or directory
