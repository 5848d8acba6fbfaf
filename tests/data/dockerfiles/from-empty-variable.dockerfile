ARG BASE
FROM ${BASE}
#> fails 2:6: FROM ${BASE}: the name is empty
