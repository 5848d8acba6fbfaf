FROM busybox
RUN <<EOF
set -e
mkdir -p /made
echo "$HOME" >/made/home
EOF
RUN <<-'TABS' sh -s
	echo indented >/made/tabs
	TABS
RUN cat <<A >/made/a && cat <<B >/made/b
first
A
second
B
RUN test "$(cat /made/home /made/tabs /made/a /made/b | tr '\n' ,)" = /root,indented,first,second,
#> ok
