FROM busybox AS builder
ENV VIRTUAL_ENV=/opt/venv
ENV PATH="$VIRTUAL_ENV/bin:$PATH"
RUN mkdir -p $VIRTUAL_ENV/bin && ln -s /bin/busybox "$VIRTUAL_ENV/bin/python"
COPY requirements.txt .
RUN test "$(command -v python)" = /opt/venv/bin/python && grep -q flask requirements.txt
FROM busybox
COPY --from=builder /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN test -L /opt/venv/bin/python
CMD python -m app
#> ok
#> warns JSONArgsRecommended
#> config .Cmd == ["/bin/sh", "-c", "python -m app"] and (.Env[] | select(startswith("PATH="))) == "PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
