FROM busybox
WORKDIR $NOTHING
WORKDIR /a
WORKDIR $NOTHING
WORKDIR b
#> ok
#> warns UndefinedVar
#> config .WorkingDir == "/a/b"
