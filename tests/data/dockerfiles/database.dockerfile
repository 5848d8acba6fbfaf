FROM busybox
RUN set -eux; \
	echo db:x:999: >>/etc/group; \
	echo db:x:999:999::/:/bin/sh >>/etc/passwd; \
# a comment inside a continued line
	mkdir -p /var/lib/db; chown db:db /var/lib/db; chmod 2750 /var/lib/db
ENV PGDATA /var/lib/db
VOLUME /var/lib/db
COPY --chmod=755 app/main.sh /usr/local/bin/docker-entrypoint.sh
RUN test "$(stat -c %a:%U:%G $PGDATA)" = 2750:db:db
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL 2
EXPOSE 5432
CMD ["postgres"]
#> ok
#> peer buildah
#> warns LegacyKeyValueFormat
#> config .Volumes == {"/var/lib/db": {}} and .StopSignal == "2"
