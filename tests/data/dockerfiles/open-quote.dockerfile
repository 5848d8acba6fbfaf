FROM busybox
ENV A="no end
#> fails a double quote has no end: expected "
