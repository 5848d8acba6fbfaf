FROM busybox
RUN mkdir -p /d/package.json
COPY package.json /d/
#> fails 3: COPY: '/d/package.json' is a directory in the image: the file 'package.json' cannot take its place
