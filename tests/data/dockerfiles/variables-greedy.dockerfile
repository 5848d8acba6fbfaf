FROM busybox
ARG v=/usr/lib/lib.so.1
LABEL a=${v##*/} b=${v#*/} c=${v%.*} d=${v%%.*} e="${v/lib/bin}" f=${v//lib/bin}
#> ok
#> config .Labels == {"a": "lib.so.1", "b": "usr/lib/lib.so.1", "c": "/usr/lib/lib.so", "d": "/usr/lib/lib", "e": "/usr/bin/lib.so.1", "f": "/usr/bin/bin.so.1"}
