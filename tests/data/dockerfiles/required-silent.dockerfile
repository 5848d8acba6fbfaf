FROM busybox
ENV A=${B:?}
#> fails 2: B: it may not be unset or empty
