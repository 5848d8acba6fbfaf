FROM busybox
ADD http://127.0.0.1:1 /x/
#> fails 2: ADD: 'http://127.0.0.1:1' has no file name: expected a destination that is a file
