FROM busybox
ENV abc=hello
ENV abc=bye def=$abc
ENV ghi=$abc
ENV a=${abc:-no} b=${none:-default} c=${abc:+set} d=${none:+set} e=${none-x} f=${abc+y}
ENV g=\$abc h="\$abc" i='$abc' j="${abc}$abc" k=$abc-$ghi l=a\ b
ENV m=${abc#b} n=${abc%e} o=${abc/b/B} p=${abc//[be]/-}
#> ok
#> config .Env[1:] == ["abc=bye", "def=hello", "ghi=bye", "a=bye", "b=default", "c=set", "d=", "e=x", "f=y", "g=$abc", "h=$abc", "i=$abc", "j=byebye", "k=bye-bye", "l=a b", "m=ye", "n=by", "o=Bye", "p=bye"]
