FROM busybox
COPY secret.env /
#> fails 2: COPY: 'secret.env' is not in the context: .dockerignore keeps it out
