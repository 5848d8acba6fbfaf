FROM busybox
RUN echo one && \
  echo two
  && echo three
#> fails 4:3: unknown instruction '&&'
