FROM busybox
INSTALLATION vim
#> fails 2:1: unknown instruction 'INSTALLATION': expected one such as RUN or COPY
