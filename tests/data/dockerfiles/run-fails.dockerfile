FROM busybox
RUN true
RUN echo said; exit 42
#> fails 3: '/bin/sh -c echo said; exit 42' exited with 42
