FROM --platfrom=linux/amd64 busybox
#> fails 1:6: FROM has no flag --platfrom: did you mean --platform?
