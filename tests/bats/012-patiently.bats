#!/usr/bin/env bats
# What ./check fetches: tried again while the network is away, and only then.
# shellcheck disable=SC2154 # bats sets the variables

load helpers

# fetch N WORDS: a command that fails N times with these words, then says "here".
setup() {
    husk_setup
    cat >"$T/fetch" <<'END'
#!/bin/sh
echo x >>"$T/times"
[ "$(wc -l <"$T/times")" -le "$1" ] || { echo here; exit 0; }
echo "$2" >&2
exit 100
END
    chmod 755 "$T/fetch"
    rm -f "$T/times"
    export HUSK_FETCH_PAUSES='0.01 0.01 0.01'
}
patiently() { "$HUSK_TOP/tools/patiently" "$@"; }
times() { wc -l <"$T/times"; }

@test "patiently: again while a name cannot be resolved, and what is said is what the last attempt said" {
    run patiently "$T/fetch" 2 "E: Temporary failure resolving 'deb.debian.org'"
    expect 0 =here
    [[ $(times) == 3 ]]
}

@test "patiently: any other failure is one at once" {
    run patiently "$T/fetch" 2 "E: Unable to locate package nonsense"
    expect 100 "=E: Unable to locate package nonsense"
    [[ $(times) == 1 ]]
}

@test "patiently: an end, and whose fault it is" {
    run patiently "$T/fetch" 99 "Could not resolve 'deb.debian.org'"
    expect 100 "patiently: the network, or the mirror, was away at every attempt"
    [[ $(times) == 4 ]]
}

@test "patiently: knows apt's words in a network without name servers" {
    mkdir -p "$T/apt/lists/partial" "$T/apt/cache/archives/partial"
    echo "deb [trusted=yes] http://deb.debian.org/debian bookworm main" >"$T/apt/list"
    run patiently apt-get -o APT::Update::Error-Mode=any -o Acquire::Retries=0 -o Dir::Etc::sourcelist="$T/apt/list" \
        -o Dir::Etc::sourceparts=- -o Dir::State::lists="$T/apt/lists" -o Dir::Cache="$T/apt/cache" update
    expect 100 "patiently: the network, or the mirror, was away at every attempt"
}
