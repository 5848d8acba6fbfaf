FROM busybox
USER $NOBODY
#> fails USER: '$NOBODY' is empty
