FROM busybox
LABEL "com.example.vendor"="ACME Incorporated" com.example.label-with-value="foo"
LABEL description="This text illustrates \
that label-values can span multiple lines."
LABEL multi.label1="value1" \
      multi.label2="value2" \
      other="value3"
LABEL multi.label1=again
LABEL old style of label
#> ok
#> peer buildah
#> config .Labels == {"com.example.vendor": "ACME Incorporated", "com.example.label-with-value": "foo", "description": "This text illustrates that label-values can span multiple lines.", "multi.label1": "again", "multi.label2": "value2", "other": "value3", "old": "style of label"}
