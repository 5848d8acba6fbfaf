FROM busybox
ARG where=/data who=1000:50 port=81 file=package.json sig=SIGHUP
WORKDIR ${where}
COPY ${file} $where/copied
ADD --chown=$who $file ${where}/added
EXPOSE ${port}/udp
VOLUME ["$where/v"]
VOLUME $where/w
USER $who
STOPSIGNAL $sig
RUN test -f copied && test "$(stat -c %u:%g added)" = 1000:50
#> ok
#> config .WorkingDir == "/data" and .ExposedPorts == {"81/udp": {}} and .User == "1000:50" and .StopSignal == "SIGHUP"
#> config (.Volumes | keys) == ["/data/v", "/data/w"]
