FROM busybox
RUN mkdir -p /k/sub && cd /k && echo x >file && ln file hard && ln -s file soft && ln -s /nowhere dangling && mkfifo pipe && \
    touch suid && chmod 4755 suid && touch sticky && chmod 1644 sticky && chmod 2775 sub && chown 12:34 sub && : >empty && \
    touch "$(printf "new\\nline")" "quote'\"" "$(printf '\303\244')" && touch -d @86400 old
RUN rm -rf /home /etc/group && mkdir /home && touch /home/new
#> ok
#> peer buildah
