FROM busybox
SHELL /bin/sh -c
#> fails 2:7: SHELL: expected a command as a JSON list
