FROM busybox
USER nosuchuser
RUN true
#> fails nosuchuser
