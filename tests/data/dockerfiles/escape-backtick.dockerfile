# escape=`
FROM busybox
ENV path=c:\windows\system32 `
    other="a`"b" third=`$path
RUN echo one `
  two >/said
#> ok
#> config .Env[1:] == ["path=c:\\windows\\system32", "other=a\"b", "third=$path"]
