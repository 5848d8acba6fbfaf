FROM scratch
COPY --from=busybox /etc/passwd /passwd
COPY --from=docker.io/library/busybox:latest --chown=3:4 /bin/busybox /bin/sh
RUN ["/bin/sh", "-c", "test -s /passwd"]
#> ok
