FROM busybox
RUN ["/bin/sh", "-c", "echo \"$HOME\" >/home-is"]
RUN [ "mkdir", "-p", "/a b/c" ]
RUN test -d "/a b/c"
ENTRYPOINT [ "top" , "-b" ]
CMD ["-c", "tab\there", "\u00e9"]
#> ok
#> peer buildah
#> config .Entrypoint == ["top", "-b"] and .Cmd == ["-c", "tab\there", "é"]
