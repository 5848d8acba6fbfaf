FROM busybox
RUN ['echo', 'single quotes are no JSON'] || true
CMD ['a']
#> ok
#> config .Cmd == ["/bin/sh", "-c", "['a']"]
