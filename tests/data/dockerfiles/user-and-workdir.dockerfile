FROM busybox
USER alice
WORKDIR /home/alice/app
RUN test "$(id -u):$(id -g)" = 1000:1000 && test "$PWD" = /home/alice/app && touch mine
USER 65534:staff
RUN test "$(id -u):$(id -g)" = 65534:50
WORKDIR ..
WORKDIR "a b"
#> ok
#> peer buildah
#> config .User == "65534:staff" and .WorkingDir == "/home/alice/a b"
