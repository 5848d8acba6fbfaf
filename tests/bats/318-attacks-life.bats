#!/usr/bin/env bats
# Hostile documents, hooks, images and payloads: a clear refusal, nothing of the host changed, nothing left. What the
# naive way would have done is shown where a few words suffice; those parts are marked "naive".
# shellcheck disable=SC2016,SC2154

load helpers
load oci

setup() {
    VICTIM=$(mktemp -d "$T/tmp/victim.XXXXXX")
    echo host >"$VICTIM/file"
}
teardown() {
    remove_oci
}

@test "config.json: deep, large, doubled, with NUL, broken UTF-8, numbers beyond all" {
    bundle '.process.args = ["true"]'
    cp "$B/config.json" "$B/plain"
    make() {
        python3 - "$1" "$B" <<'END'
import json, sys
kind, b = sys.argv[1:]
text = open(b + "/plain").read()
doc = json.loads(text)
first = text.index("{") + 1
if kind == "deep": text = text[:first] + '"x": ' + "[" * 200000 + "]" * 200000 + "," + text[first:]
elif kind == "large": text = text[:first] + '"x": "' + "a" * (20 << 20) + '",' + text[first:]
elif kind == "twice": text = text[:first] + '"process": {"cwd": "/", "args": ["evil"]},' + text[first:]
elif kind == "nul": text = text.replace('"true"', '"tr\\u0000ue"')
elif kind == "rawnul": text = text.replace('"true"', '"tr\0ue"')
elif kind == "utf8": open(b + "/config.json", "wb").write(text.encode().replace(b'"true"', b'"tr\xff\xfeue"')); sys.exit()
elif kind == "int": doc["process"]["user"]["uid"] = 10 ** 40; text = json.dumps(doc)
elif kind == "env": doc["process"]["env"] = ["A=1", 5]; text = json.dumps(doc)
elif kind == "cut": text = text[: len(text) // 2]
elif kind == "empty": text = ""
elif kind == "list": text = "[]"
open(b + "/config.json", "w").write(text)
END
    }
    try() { make "$1"; oci run -b "$B" c1; }
    check_table try <<'END'
deep    | 1 | config.json
large   | 1 | config.json
twice   | 1 | config.json
nul     | 1 | config.json
rawnul  | 1 | config.json
utf8    | 1 | config.json
int     | 1 | config.json
env     | 1 | env[1]: expected a string
cut     | 1 | config.json
empty   | 1 | config.json
list    | 1 | expected an object
END
    assert_gone c1
    # naive: a parser that takes the last of two, and one that recurses
    make twice
    [[ $(jq -r '.process.args[0]' "$B/config.json") == true ]]
    make deep
    run python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$B/config.json"
    expect 1 RecursionError
}

@test "hooks: relative, deaf to their input, slow, and with nothing of ours open" {
    cat >"$T/tmp/fds" <<'END'
#!/bin/bash
# by number: in the container's pid namespace the host's /proc is another's
exec 3>"$1"
for ((fd = 0; fd < 256; fd++)); do
    if { : <&"$fd"; } 2>/dev/null || { : >&"$fd"; } 2>/dev/null; then echo "$fd $(readlink "/proc/$$/fd/$fd")" >&3; fi
done
END
    chmod 755 "$T/tmp/fds"
    bundle '.process.args = ["true"]'
    # more state than any pipe holds, and a hook that never reads it
    head -c 900000 /dev/zero | tr '\0' x >"$T/tmp/long"
    jq --rawfile long "$T/tmp/long" '.annotations.long = $long | .hooks.createRuntime = [{path: "/bin/true"}]' "$B/config.json" >"$B/new"
    cp "$B/config.json" "$B/plain"
    cp "$B/new" "$B/config.json"
    run timeout 60 "$HUSK_OCI" --root "$TRUN/oci" run -b "$B" c1
    expect 0 "="
    # naive: state into a pipe whose other end nobody reads
    run timeout 1 bash -c 'sleep 5 < <(head -c 900000 /dev/zero; echo written >&2)'
    [[ $status -eq 124 && $output != *written* ]]
    cp "$B/plain" "$B/config.json"
    change '.hooks.createRuntime = [{path: "bin/true"}]'
    run oci run -b "$B" c1
    expect 1 "createRuntime[0]: path: 'bin/true' is not an absolute path"
    change '.hooks.createRuntime = [{path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1}]'
    run oci run -b "$B" c1
    expect 1 "createRuntime hook '/bin/sleep': still running after 1 seconds"
    assert_gone c1
    local stage
    exec 9<"$VICTIM"
    for stage in prestart createRuntime createContainer poststart poststop; do
        change ".hooks = {$stage: [{path: \"$T/tmp/fds\", args: [\"fds\", \"$T/tmp/fds.$stage\"]}]}"
        run oci run -b "$B" c1
        expect 0
        ! grep -E "victim|memfd:husk|cgroup|socket" "$T/tmp/fds.$stage" || return 1
        ! grep -vE '^(0|1|2|3|10|255) ' "$T/tmp/fds.$stage" || return 1
    done
    # naive: what is open is inherited
    "$T/tmp/fds" "$T/tmp/fds.naive"
    grep -q victim "$T/tmp/fds.naive"
    exec 9<&-
}

@test "hooks: those that fail end the start, but poststop's: it is a warning, and the next one runs" {
    bundle '.process.args = ["true"]'
    local stage
    for stage in prestart createRuntime createContainer startContainer poststart; do
        change ".hooks = {$stage: [{path: \"/bin/false\"}]}"
        run oci run -b "$B" c1
        [[ $status -ne 0 ]] || { echo "$stage: $output"; return 1; }
        output_has "false"
        assert_gone c1
    done
    # of a created container: the start fails, and it is stopped
    change '.process.args = ["sleep", "1000"] | .hooks = {poststart: [{path: "/bin/false"}]}'
    oci create -b "$B" c1 >/dev/null
    run oci start c1
    expect 1 "poststart hook '/bin/false'"
    wait_until 30 is_stopped c1
    oci delete c1
    change '.process.args = ["true"]'
    change ".hooks = {poststop: [{path: \"/bin/false\"}, {path: \"/bin/touch\", args: [\"touch\", \"$T/tmp/after\"]}]}"
    run oci run -b "$B" c1
    expect 0
    [[ -e $T/tmp/after ]]
}

is_stopped() { [[ $(oci state "$1" | jq -r .status) == stopped ]]; }

@test "CVE-2025-24965: files that husk writes for the container do not follow the image's links" {
    cp -a "$IMAGES/rootfs" "$T/tmp/linked"
    local name
    for name in hosts resolv.conf hostname; do
        rm -f "$T/tmp/linked/etc/$name"
        ln -s "$VICTIM/file" "$T/tmp/linked/etc/$name"
    done
    husk run --rm --rootfs "$T/tmp/linked" true || true
    [[ $(<"$VICTIM/file") == host && $(ls "$VICTIM") == file ]]
    # naive: by name
    echo "127.0.0.1 x" >"$T/tmp/linked/etc/hosts"
    [[ $(<"$VICTIM/file") != host ]]
}

@test "control groups: no path leads up; what the payload makes and freezes goes with it" {
    bundle '.process.args = ["true"]'
    local path
    for path in /../../x ../x /husk/../../x husk/.. /a/../b; do
        change ".linux.cgroupsPath = \"$path\""
        run oci run -b "$B" c1
        expect 1 ".."
    done
    # naive: text after text
    [[ $(realpath -m /sys/fs/cgroup/pids/husk/../../x) != /sys/fs/cgroup/pids/* ]]
    bundle "$(sh_c 'mkdir -p /sys/fs/cgroup/freezer/a/b /sys/fs/cgroup/pids/a/b; sleep 1000 & echo $! >/sys/fs/cgroup/pids/a/b/tasks
                    echo $! >/sys/fs/cgroup/freezer/a/b/tasks; echo FROZEN >/sys/fs/cgroup/freezer/a/freezer.state; echo ready >/tmp/ready
                    exec sleep 1001')"
    change '.root.readonly = false | (.mounts[] | select(.type == "cgroup")).options = ["nosuid", "noexec", "nodev", "rw"]'
    oci run -d -b "$B" c1 >/dev/null
    wait_until 30 test -e "$B/rootfs/tmp/ready"
    local group
    group=$(find /sys/fs/cgroup -maxdepth 4 -type d -path "*/pids/husk/$GROUP")
    # naive: remove the group when its first process is dead
    [[ ! $group ]] || ! rmdir "$group" 2>/dev/null
    oci delete --force c1
    assert_gone c1
    # all of it is frozen, its first process too: SIGKILL alone would wait
    if [[ -d /sys/fs/cgroup/freezer ]]; then
        bundle "$(sh_c 'f=/sys/fs/cgroup/freezer; mkdir $f/a; (while ! grep -qx 1 $f/a/tasks; do :; done; echo FROZEN >$f/a/freezer.state; echo >/tmp/ready; exec sleep 1000) & echo 1 >$f/a/tasks; exec sleep 1001')"
        change '.root.readonly = false | (.mounts[] | select(.type == "cgroup")).options = ["nosuid", "noexec", "nodev", "rw"]'
        oci run -d -b "$B" c1 >/dev/null
        wait_until 30 test -e "$B/rootfs/tmp/ready"
        # naive: the signal
        kill -KILL "$(oci state c1 | jq .pid)"
        [[ $(oci state c1) == *running* ]]
        oci kill c1 KILL
        wait_until 30 is_stopped c1
        oci delete c1
        assert_gone c1
    fi
    # among the processes of others its group alone says which are its own
    bundle "$(sh_c 'sleep 1000 & sleep 1000 & echo ready >/tmp/ready; exec sleep 1001')"
    change '.root.readonly = false | del(.linux.namespaces[] | select(.type == "pid"))'
    oci run -d -b "$B" c1 >/dev/null
    wait_until 30 test -e "$B/rootfs/tmp/ready"
    # naive: end the first
    kill -KILL "$(oci state c1 | jq .pid)"
    wait_until 30 is_stopped c1
    [[ $(oci ps -f json c1 | jq length) == 2 ]]
    oci delete c1
    assert_gone c1
}

@test "a fork bomb under a limit is deleted while it goes on" {
    bundle "$(sh_c 'b() { b & b & wait; }; echo ready >/tmp/ready; b 2>/dev/null; while :; do b 2>/dev/null; done')"
    change '.root.readonly = false | .linux.resources.pids = {limit: 40}'
    oci run -d -b "$B" c1 >/dev/null
    wait_until 30 test -e "$B/rootfs/tmp/ready"
    oci delete --force c1
    assert_gone c1
}

@test "SIGKILL in the middle of a start: delete --force kills whoever is in the group by then, a hook's child too" {
    bundle '.process.args = ["sleep", "1000"]'
    # it puts a process of its own into the container's group, as one that moves a helper there does, and does not end
    cat >"$B/hook" <<END
#!/bin/bash
exec >/dev/null 2>&1 </dev/null
(
    for file in /sys/fs/cgroup/husk/$GROUP/cgroup.procs /sys/fs/cgroup/*/husk/$GROUP/cgroup.procs; do
        [[ ! -e \$file ]] || echo "\$BASHPID" >"\$file"
    done
    echo "\$BASHPID" >"$B/stray"
    exec sleep 1000
) &
echo "\$\$" >"$B/hooks-pid"
exec sleep 1000
END
    chmod 755 "$B/hook"
    change ".hooks.createRuntime = [{path: \"$B/hook\", env: [\"PATH=$PATH\"]}]"
    oci create --bundle "$B" c1 >"$T/tmp/output" 2>&1 </dev/null 3>&- &
    local create=$! stray
    wait_until 30 test -s "$B/stray"
    stray=$(<"$B/stray")
    wait_until 30 grep -q sleep "/proc/$stray/comm"
    grep -q "/husk/$GROUP$" "/proc/$stray/cgroup"
    kill -KILL "$(pgrep -P "$create" || echo "$create")" "$create" 2>/dev/null || true
    wait "$create" || true
    kill -KILL "$(<"$B/hooks-pid")"
    kill -0 "$stray" # it is nobody's child by now
    oci delete --force c1
    wait_until 10 is_no_process "$stray"
    assert_gone c1
}
is_no_process() { ! kill -0 "$1" 2>/dev/null; }

@test "links upon links: a path that grows beyond all is an error, and no crash" {
    bundle '.process.args = ["true"]'
    change '.root.readonly = false'
    local long i
    long=$(printf 'd%.0s' {1..200})
    mkdir -p "$B/rootfs/$long"
    for i in {0..60}; do ln -s "$long/../l$((i + 1))/$long/.." "$B/rootfs/l$i"; done
    ln -s loop "$B/rootfs/loop"
    try() { change ".mounts[-1:] = [{destination: \"$1\", type: \"tmpfs\", source: \"x\"}]"; oci run -b "$B" c1; }
    change '.mounts += [{destination: "/tmp", type: "tmpfs", source: "x"}]'
    check_table try <<'END'
/l0/x    | 1 | mount '/l0/x'
/loop/x  | 1 | mount '/loop/x'
/l30/x   | 1 | mount '/l30/x'
/l60/x   | 0 | =
END
    # naive: each link written out in place of its name
    [[ $((61 * (200 + 5))) -gt 4096 ]]
    assert_gone c1
}

@test "a console socket with a path beyond 108 bytes" {
    local dir
    dir=$T/tmp/$(printf 'c%.0s' {1..150})
    mkdir "$dir"
    bundle '.process.args = ["true"] | .process.terminal = true'
    run oci create -b "$B" --console-socket "$dir/sock" c1
    expect 1 "--console-socket"
    (cd "$dir" && exec python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen(1); open("ready", "w"); c, _ = s.accept(); print(len(c.recvmsg(4096, 100)[1]), flush=True); time.sleep(1000)' >out) 3>&- &
    local pid=$!
    wait_until 30 test -e "$dir/ready"
    run oci create -b "$B" --console-socket "$dir/sock" c1
    [[ $status -eq 0 ]]
    wait_until 30 grep -q 1 "$dir/out"
    kill "$pid"
    # naive: the name as it is
    run python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$dir/sock"
    expect 1 "path too long"
}

# ---- what a Dockerfile, its context and its base images do to the host that builds them ----------------------------------
# $VICTIM is a directory of the host: every link leads to it. Nothing in it changes, and its file is in no image.

build_begin() {
    load_busybox
    as_user load_busybox
    chmod 777 "$VICTIM"
    chmod 666 "$VICTIM/file"
    mkdir -m 777 "$VICTIM/empty"
    echo secret-of-the-host >"$VICTIM/file"
    C=$(mktemp -d "$T/tmp/context.XXXXXX")
    chmod 755 "$C"
}
victim_is_untouched() {
    [[ $(ls "$VICTIM" | tr '\n' ' ') == "empty file " && $(<"$VICTIM/file") == secret-of-the-host && ! $(ls -A "$VICTIM/empty") ]] ||
        { ls -laR "$VICTIM"; return 1; }
}
# build_says WORDS: the Dockerfile on standard input is built, its image shows no secret; the words are in what is printed.
build_says() { # STATUS WORDS
    cat >"$C/Dockerfile"
    run "$h" build --no-cache --network none --progress plain -t attack:1 "$C"
    expect "$1" "$2"
    [[ $output != *secret-of-the-host* ]] || { echo "$output"; return 1; }
    victim_is_untouched
    [[ $1 != 0 ]] || ! "$h" run --rm --network none attack:1 grep -r secret-of-the-host / --exclude-dir=proc --exclude-dir=sys 2>/dev/null || return 1
}

@test "build: links of the context, of stages and of the image lead nowhere but into them" {
    local h
    build_begin
    ln -s "$VICTIM/file" "$C/abs"
    ln -s "../../../../../../../../../../$VICTIM" "$C/up"
    ln -s /proc/self/root "$C/magic"
    mkdir "$C/dir"
    ln -s "$VICTIM/file" "$C/dir/inner"
    echo plain >"$C/plain"
    for h in root_husk user_husk; do
        # the context's
        build_says 1 "abs" <<<$'FROM busybox\nCOPY abs /x'
        build_says 1 "up" <<<$'FROM busybox\nCOPY up/file /x'
        build_says 1 "magic" <<<$'FROM busybox\nCOPY magic'"$VICTIM"$'/file /x'
        build_says 1 "../" <<<$'FROM busybox\nCOPY dir/../../'"${VICTIM##*/}"$'/file /x' || build_says 1 "not" <<<$'FROM busybox\nCOPY ../'"${VICTIM##*/}"$'/file /x'
        build_says 0 "" <<<$'FROM busybox\nCOPY dir /d\nRUN test -L /d/inner && ! cat /d/inner'
        build_says 1 "abs" <<<$'FROM busybox\nRUN --mount=type=bind,source=abs,target=/m cat /m'
        # a stage's
        build_says 1 "" <<EOD
FROM busybox AS evil
RUN mkdir /t && ln -s $VICTIM/file /t/abs && ln -s ../../../../../../../../$VICTIM /t/up && ln -s /proc/1/root /t/magic
FROM busybox
COPY --from=evil /t/abs /x
EOD
        build_says 1 "" <<EOD
FROM busybox AS evil
RUN mkdir /t && ln -s $VICTIM/file /t/abs && ln -s ../../../../../../../../$VICTIM /t/up && ln -s /proc/1/root /t/magic
FROM busybox
RUN --mount=type=bind,from=evil,source=/t/up,target=/m cat /m/file
EOD
        # the image's: what is made behind them is made inside
        build_says 0 "inside" <<EOD
FROM busybox
RUN ln -s $VICTIM /w && ln -s ../../../../../../../../$VICTIM/new /n
WORKDIR /w/work
WORKDIR /n
COPY plain /w/copied
COPY plain /n/deep/
ADD plain /w/added/
VOLUME /w/volume
RUN --mount=type=tmpfs,target=/w/tmp --mount=type=cache,target=/w/cache --mount=type=bind,source=plain,target=/w/bound test -d /w/tmp -a -d /w/cache && cat /w/bound
RUN cd $VICTIM && test -d work -a -f copied -a -d new/deep -a -d added && echo it is inside
EOD
    done
    # naive: by name
    [[ $(cat "$C/abs") == secret-of-the-host ]]
    mkdir "$T/tmp/image"
    ln -s "$VICTIM" "$T/tmp/image/w"
    mkdir "$T/tmp/image/w/work"
    ! victim_is_untouched >/dev/null
    rmdir "$VICTIM/work"
}

@test "build: what a step leaves where something was mounted is not removed outside; a cache's name and another step's links stay inside (CVE-2024-23651, 23652)" {
    local h
    build_begin
    for h in root_husk user_husk; do
        # the mount point's directory becomes a link to one of the host's that has something empty of the same name
        build_says 0 "" <<EOD
FROM busybox
RUN --mount=type=tmpfs,target=/d/sub/empty (mv /d /kept; rm -rf /d/sub; ln -s $VICTIM /d/sub) 2>/dev/null; true
RUN --mount=type=tmpfs,target=/e/empty (mv /e /f; rm -rf /e; ln -s $VICTIM /e) 2>/dev/null; true
EOD
        # a cache's id is a word, and what is in one is the image's to read
        build_says 0 "0 here" <<EOD
FROM busybox
RUN --mount=type=cache,id=../../../../../../../..$VICTIM,target=/c echo \$(ls /c | wc -l) here; touch /c/made
RUN --mount=type=cache,id=shared,target=/c rm -rf /c/sub; ln -s $VICTIM /c/sub
EOD
        build_says 1 "" <<<$'FROM busybox\nRUN --mount=type=cache,id=shared,source=sub,target=/m cat /m/file'
        build_says 1 "" <<<$'FROM busybox\nRUN --mount=type=bind,source=/../../../..'"$VICTIM"$',target=/m cat /m/file'
        "$h" builder prune --all --force >/dev/null
        victim_is_untouched
        "$h" system check
    done
    # naive: what was made for a mount is removed by its name, and the name of a cache is one below their directory
    mkdir "$T/tmp/step"
    ln -s "$VICTIM" "$T/tmp/step/e"
    rmdir "$T/tmp/step/e/empty"
    ! victim_is_untouched >/dev/null
    [[ $(realpath -m "$T/caches/../../../../../../../..$VICTIM") == "$VICTIM" ]]
}

@test "build: archives and repositories from strangers: nothing is written or read through their links" {
    local h
    build_begin
    python3 - "$C" "$VICTIM" <<'END'
import io, sys, tarfile
where, victim = sys.argv[1:]
def member(t, name, **more):
    m = tarfile.TarInfo(name)
    for k, v in more.items(): setattr(m, k, v)
    t.addfile(m, io.BytesIO(b"written") if m.isreg() and m.size else None)
with tarfile.open(where + "/through.tar", "w") as t:
    member(t, "out", type=tarfile.SYMTYPE, linkname=victim)
    member(t, "out/written", size=7)
with tarfile.open(where + "/hard.tar", "w") as t:
    member(t, "copy", type=tarfile.LNKTYPE, linkname="../../../../../../../.." + victim + "/file")
with tarfile.open(where + "/dots.tar", "w") as t:
    member(t, "../../../../../../../.." + victim + "/written", size=7)
END
    git init -q "$C/repo"
    ln -s "$VICTIM/file" "$C/repo/Dockerfile"
    ln -s "$VICTIM/file" "$C/repo/.dockerignore"
    git -C "$C/repo" -c user.name=x -c user.email=x@x add -A
    git -C "$C/repo" -c user.name=x -c user.email=x@x commit -qm x
    for h in root_husk user_husk; do
        local name
        for name in through hard dots; do
            printf 'FROM busybox\nADD %s.tar /in/\nRUN ! grep -r secret-of /in\n' "$name" >"$C/Dockerfile"
            run "$h" build --no-cache --network none -t attack:1 "$C"
            [[ $output != *secret-of-the-host* ]]
            victim_is_untouched
        done
        run "$h" build --no-cache --network none "file://$C/repo"
        [[ $status -ne 0 && $output != *secret-of-the-host* ]] || { echo "$output"; return 1; }
        victim_is_untouched
    done
    # naive: the file by its name
    [[ $(cat "$C/repo/Dockerfile") == secret-of-the-host ]]
}
