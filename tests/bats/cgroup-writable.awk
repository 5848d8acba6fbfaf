# Of a mountinfo: how many mounts at or below /sys/fs/cgroup can be seen (none lies over them) and are not read-only.
{ id = $1; parent[id] = $2; at[id] = $5; options[id] = $6; order[++n] = id }
END {
    for (i = 1; i <= n; i++) {
        id = order[i]
        if (at[id] == at[parent[id]])
            covered[parent[id]] = 1
    }
    for (i = 1; i <= n; i++) {
        id = order[i]
        hidden[id] = hidden[parent[id]] || (covered[parent[id]] && at[id] != at[parent[id]])
        if (at[id] ~ "^/sys/fs/cgroup" && !hidden[id] && !covered[id] && options[id] !~ /(^|,)ro(,|$)/)
            writable++
    }
    print writable + 0
}
