FROM busybox AS tools
RUN echo tool >/tool
FROM busybox
RUN --mount=type=bind,source=package.json,target=/p.json test -s /p.json && ! echo x >>/p.json
RUN --mount=target=/ctx,rw touch /ctx/gone && test -f /ctx/src/index.js
RUN --mount=from=tools,source=/tool,target=/t grep -q tool /t
RUN --mount=type=tmpfs,target=/scratch,size=1m touch /scratch/x
RUN --mount=type=cache,id=corpus,target=/cache,mode=0700,uid=7,gid=8,sharing=locked test "$(stat -c %a:%u:%g /cache)" = 700:7:8
RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent
RUN test ! -e /ctx/gone && test ! -e /scratch/x
#> ok
