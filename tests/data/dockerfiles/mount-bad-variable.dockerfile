FROM busybox
ARG KIND=floppy
RUN --mount=type=$KIND,target=/x true
#> fails 3: --mount: type 'floppy': expected one of bind, cache, tmpfs, secret, ssh
