FROM busybox
ADD http://127.0.0.1:1/nobody/listens /x
#> fails 2: ADD failed: the line above says why
