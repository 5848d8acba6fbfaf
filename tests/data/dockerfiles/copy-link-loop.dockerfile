FROM busybox
RUN ln -s loop /loop
COPY package.json /loop
#> fails 3: COPY: '/loop' is a link to itself
