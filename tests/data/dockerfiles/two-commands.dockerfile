FROM busybox
CMD ["one"]
CMD ["two"]
ENTRYPOINT ["a"]
ENTRYPOINT ["b"]
#> ok
#> warns MultipleInstructionsDisallowed
#> config .Cmd == ["two"] and .Entrypoint == ["b"]
