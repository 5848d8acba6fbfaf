FROM busybox
SHELL
#> fails 2:1: SHELL: expected a command as a JSON list
