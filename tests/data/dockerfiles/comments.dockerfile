  # indented
FROM busybox
# before
RUN echo one && \
    # between
  # another

    echo "# not one" >/said
RUN grep '# not one' /said # this goes to the shell
LABEL hash=a#b
#> ok
#> warns NoEmptyContinuation
#> config .Labels == {"hash": "a#b"}
