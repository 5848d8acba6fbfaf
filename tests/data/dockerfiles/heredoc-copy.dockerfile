FROM busybox
ARG NAME=world
COPY <<EOF /greeting
hello $NAME
EOF
COPY <<"EOF" /raw
hello $NAME
EOF
COPY --chmod=700 --chown=1000 <<-one <<two /dir/
	tabbed
	one
plain
two
ADD <<conf package.json /etc/app/
key = ${NAME:-x}
conf
RUN grep -qx 'hello world' /greeting && grep -qx 'hello $NAME' /raw && test -f /etc/app/package.json
RUN test "$(cat /dir/one /dir/two | tr '\n' ,)" = tabbed,plain, && test "$(stat -c %a:%u /dir/one)" = 700:1000
RUN grep -qx 'key = world' /etc/app/conf
#> ok
