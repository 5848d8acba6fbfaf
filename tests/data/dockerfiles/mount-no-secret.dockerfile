FROM busybox
RUN --mount=type=secret,id=token,required true
#> fails --mount: secret 'token' is required: give it with --secret id=token,src=FILE
