FROM busybox
COPY package.json nosuch.txt /dir/
#> fails 2: COPY: 'nosuch.txt' is not in the context
