FROM busybox
ADD site.tar.gz /unpacked/
ADD --unpack=false site.tar.gz /kept/
ADD --chown=1000:1000 site.tar.gz /owned/
ADD app/lib /lib-dir
RUN test -f /unpacked/www/index.html -a -f /kept/site.tar.gz -a -f /lib-dir/a.txt
#> ok
