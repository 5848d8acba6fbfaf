FROM busybox
COPY package.json requirements.txt /dir
#> fails 2: COPY: there are 2 sources, so the destination must be a directory and end with a slash: '/dir/'
