FROM busybox
COPY --chown=alice:staff package.json /named
COPY --chown=5 package.json /number
COPY --chmod=0640 package.json /mode
COPY --chmod=u=rwX,go=rX app /words
COPY --link app/lib /linked/lib
COPY --parents src/sub/deep.js ./app/./lib/a.txt /parents/
COPY --exclude=*.md --exclude=main.sh app /without/
RUN test "$(stat -c %u:%g /named /number | tr '\n' ,)" = 1000:50,5:5, && test "$(stat -c %a /mode)" = 640
RUN test "$(stat -c %a /words /words/main.sh /words/lib/a.txt | tr '\n' ,)" = 755,755,644,
RUN test -f /linked/lib/b.md -a -f /parents/src/sub/deep.js -a -f /parents/lib/a.txt
RUN test -f /without/lib/a.txt && test ! -e /without/main.sh
#> ok
