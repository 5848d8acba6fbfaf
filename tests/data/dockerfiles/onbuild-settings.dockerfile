FROM busybox
ONBUILD ENV OF=parent
ONBUILD USER 7
ONBUILD LABEL "a b"='c d'
LABEL mine=1
#> ok
#> peer buildah
#> config .OnBuild == ["ENV OF=parent", "USER 7", "LABEL \"a b\"='c d'"] and .Labels == {"mine": "1"} and .User == null
