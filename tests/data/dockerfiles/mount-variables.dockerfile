# All that a mount says may be variables, but from; its words are those of any case.
FROM busybox
ARG KIND=TmpFS WHERE=/t
RUN --mount=type=$KIND,target=$WHERE,size=1m touch /t/a && [ "$(df -k /t | awk 'END { print $2 }')" = 1024 ]
RUN --mount=type=cache,sharing=Locked,target=${WHERE}2 touch /t2/a
#> ok
