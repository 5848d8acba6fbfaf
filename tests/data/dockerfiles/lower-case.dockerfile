from busybox as one
env a=b
run true
copy package.json /p
FROM one
#> ok
#> warns ConsistentInstructionCasing
