# shellcheck shell=bash disable=SC2317,SC2015,SC2034  # what every script of a test machine begins with: tests/vm/run puts it before
# Prints "ok NAME (N s)" or "not ok NAME (N s)" for each check, N: seconds since the script began. A script ends with: finish
failed=0

ok() { # NAME COMMAND...: the command succeeds
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then
        echo "ok $name ($SECONDS s)"
    else
        echo "not ok $name ($SECONDS s)"
        printf '%s\n' "$out" | sed 's/^/    /'
        failed=1
    fi
}
says() { # WORDS COMMAND...: it succeeds, and its output has the words
    local words=$1 out
    shift
    out=$("$@" 2>&1) && [[ $out == *"$words"* ]] || { printf 'wanted: %s\ngot: %s\n' "$words" "$out"; return 1; }
}
fails() { # WORDS COMMAND...: it fails, and its output has the words
    local words=$1 out
    shift
    ! out=$("$@" 2>&1) && [[ $out == *"$words"* ]] || { printf 'wanted: %s\ngot: %s\n' "$words" "$out"; return 1; }
}
status() { # STATUS COMMAND...: it ends with the status
    local want=$1 got=0
    shift
    "$@" || got=$?
    [[ $got == "$want" ]] || { echo "status $got, wanted $want"; return 1; }
}
comes() { # SECONDS COMMAND...: the command succeeds before so many seconds have passed
    local end=$((SECONDS + $1)) out
    shift
    until out=$("$@" 2>&1); do
        ((SECONDS < end)) || { echo "last: $out"; return 1; }
        sleep 0.5
    done
    printf '%s\n' "$out"
}
none_failed() { ((failed == 0)); }
finish() { exit "$failed"; }
