FROM busybox
ARG API_TOKEN
ENV DB_PASSWORD=hunter2
#> ok
#> warns SecretsUsedInArgOrEnv
