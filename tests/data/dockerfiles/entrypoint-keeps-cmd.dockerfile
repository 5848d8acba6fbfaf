FROM busybox
CMD ["mine"]
ENTRYPOINT ["/bin/sh"]
#> ok
#> config .Cmd == ["mine"] and .Entrypoint == ["/bin/sh"]
