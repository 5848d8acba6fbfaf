# check=skip=jsonargsrecommended,NobodyKnows
FROM busybox
CMD echo
#> ok
#> warns JSONArgsRecommended
