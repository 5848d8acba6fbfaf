FROM busybox
COPY --chmod=888 package.json /
#> fails --chmod: 
