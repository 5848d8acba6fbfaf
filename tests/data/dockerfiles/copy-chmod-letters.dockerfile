# COPY --chmod with the letters of chmod(1): several changes for one class, one class as another, X, directories.
FROM busybox
COPY --chmod=g=u etc /like/
COPY --chmod=u+rw-x,g=rx package.json /twice
COPY --chmod=u=rwX,go=rX app /capital/
COPY --chmod=+x,o= package.json /and
COPY --chmod=ug=o,u+w app/main.sh /others
ARG MODE=o-rwx,g-w
COPY --chmod=$MODE app/main.sh /variable
RUN set -e; is() { [ "$(stat -c %a "$1")" = "$2" ] || { stat -c '%a %n' "$1"; exit 1; }; }; \
    is /like 775; is /like/nginx.conf 664; is /twice 654; is /capital 755; is /capital/main.sh 755; \
    is /capital/lib/a.txt 644; is /and 750; is /others 755; is /variable 750
#> ok
