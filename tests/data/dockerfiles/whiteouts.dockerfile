FROM busybox
RUN mkdir -p /w/a/b /w/c && touch /w/a/b/f /w/c/f /w/g
RUN rm -r /w/a && mkdir /w/a && touch /w/a/again
RUN rm /w/c/f && rmdir /w/c && echo file >/w/c
RUN rm /w/g && mkdir /w/g
RUN test "$(find /w | sort | tr '\n' ,)" = /w,/w/a,/w/a/again,/w/c,/w/g,
#> ok
#> peer buildah
