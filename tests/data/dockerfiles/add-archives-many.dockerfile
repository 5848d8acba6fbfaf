# Several archives in one ADD; one from before ustar, which has no magic number, is an archive too.
FROM busybox
ADD site.tar.gz old.tar package.json /all/
ADD --chown=3:4 old.tar /owned/
RUN [ "$(cat /all/www/index.html)" = hello ] && [ "$(cat /all/old/a)" = old ] && [ -s /all/package.json ] && \
    [ "$(stat -c %u:%g /owned/old/a)" = 3:4 ]
#> ok
