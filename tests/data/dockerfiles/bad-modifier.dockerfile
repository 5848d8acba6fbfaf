FROM busybox
ENV A=${B:x}
#> fails expected :-, :+ or :?
