FROM busybox
WORKDIR /app
ONBUILD COPY package.json .
ONBUILD RUN test -f package.json
ONBUILD ENV FROM_PARENT=yes
#> ok
#> config .OnBuild == ["COPY package.json .", "RUN test -f package.json", "ENV FROM_PARENT=yes"]
