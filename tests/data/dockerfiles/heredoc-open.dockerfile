FROM busybox
RUN <<EOF
echo for ever
#> fails 2:5: the here-document has no end: expected a line with 'EOF' alone
