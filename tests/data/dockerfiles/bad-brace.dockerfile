FROM busybox
ENV A=${B!c}
#> fails 2: '${B!': expected '}' or one of :-
