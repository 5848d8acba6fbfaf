FROM busybox
RUN --mount=type=ssh,required true
#> fails 2: --mount: ssh agent 'default' is required: give it with --ssh default
