FROM busybox
ARG WHERE
COPY package.json ${WHERE}
#> fails 3: COPY: the destination is empty: expected a path
