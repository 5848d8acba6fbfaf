FROM busybox AS one
CMD ["of the base"]
FROM one
ENTRYPOINT ["/bin/sh"]
#> ok
#> config .Cmd == null and .Entrypoint == ["/bin/sh"]
