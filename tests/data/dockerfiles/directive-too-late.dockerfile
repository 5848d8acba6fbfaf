# a comment first
# escape=`
FROM busybox
ENV a=b \
    c=d
#> ok
#> config .Env[1:] == ["a=b", "c=d"]
