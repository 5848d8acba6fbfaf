# syntax=docker/dockerfile:1
ARG NODE_IMAGE=busybox
FROM ${NODE_IMAGE} AS base
ENV NODE_ENV=production \
    PORT=3000
WORKDIR /usr/src/app

FROM base AS deps
COPY package.json package-lock.json ./
RUN mkdir node_modules && cp package.json node_modules/installed

FROM base
COPY --from=deps /usr/src/app/node_modules ./node_modules
COPY --chown=1000:1000 src/ ./src
EXPOSE $PORT
USER 1000
CMD ["sh", "src/index.js"]
#> ok
#> config .Env[-2:] == ["NODE_ENV=production", "PORT=3000"] and .ExposedPorts == {"3000/tcp": {}}
#> config .User == "1000" and .Cmd == ["sh", "src/index.js"] and .WorkingDir == "/usr/src/app"
