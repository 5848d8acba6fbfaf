FROM busybox
LABEL maintainer="web@example.com" \
      org.opencontainers.image.title="A site" \
      version=1.0
COPY etc/nginx.conf /etc/nginx/
ADD site.tar.gz /usr/share/nginx/
RUN grep -q hello /usr/share/nginx/www/index.html && \
    ln -sf /dev/stdout /var/access.log
EXPOSE 80/tcp 443
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
#> ok
#> peer buildah
#> config .Labels == {"maintainer": "web@example.com", "org.opencontainers.image.title": "A site", "version": "1.0"}
#> config .StopSignal == "SIGQUIT" and (.ExposedPorts | keys) == ["443/tcp", "80/tcp"] and .Cmd[2] == "daemon off;"
