FROM busybox
SHELL ["/bin/sh", "-euc"]
RUN false | true; echo ${-} | grep e
SHELL ["/bin/ash", "-c"]
RUN test "$0" = /bin/ash || test "$0" = ash || true
CMD echo hi
#> ok
#> config .Shell == ["/bin/ash", "-c"] and .Cmd == ["/bin/ash", "-c", "echo hi"]
