FROM busybox
RUN sh -c 'kill -9 $$'; exit $?
#> fails was ended by SIGKILL
