FROM busybox
USER nosuchuser
WORKDIR /made
#> fails 3: WORKDIR: the owner, as of USER: 
