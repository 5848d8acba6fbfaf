FROM busybox
CMD []
ENTRYPOINT []
#> ok
#> config (.Cmd // []) == [] and (.Entrypoint // []) == []
