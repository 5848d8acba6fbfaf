#!/usr/bin/env bats
# husk login and logout: checked before anything is kept, files of docker and podman, credential helpers, identity tokens.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    start_registry --auth u:p
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" x=gzip:x
    skopeo copy --quiet --preserve-digests --dest-tls-verify=false --dest-creds u:p "oci:$T/oci:x" "docker://$REGISTRY/x"
    make_helper
    start_liar "$T/oci"
}

# A helper that keeps secrets in files, as docker-credential-pass keeps them encrypted.
make_helper() {
    mkdir -p "$T/bin"
    cat >"$T/bin/docker-credential-test" <<'END'
#!/bin/bash
dir=${HELPER_DIR:?}
echo "$1" >>"$dir/log"
name() { tr -c 'a-zA-Z0-9\n' _ <<<"$1"; }
case $1 in
store) doc=$(cat); printf '%s' "$doc" >"$dir/$(name "$(jq -r .ServerURL <<<"$doc")")" ;;
get) f=$dir/$(name "$(cat)"); if [[ -e $f ]]; then cat "$f"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm -f "$dir/$(name "$(cat)")" ;;
esac
END
    printf '#!/bin/bash\necho the keychain is locked\nexit 1\n' >"$T/bin/docker-credential-broken"
    printf '#!/bin/bash\nexec sleep 600\n' >"$T/bin/docker-credential-hangs"
    printf '#!/bin/bash\nexec cat /dev/zero\n' >"$T/bin/docker-credential-endless"
    printf '#!/bin/bash\necho "<html>not json"\n' >"$T/bin/docker-credential-rubbish"
    # what it leaves running has its standard output, as an agent may
    cat >"$T/bin/docker-credential-agent" <<'END'
#!/bin/bash
sleep 600 2>/dev/null &
echo $! >>"$HELPER_DIR/agents"
echo '{"Username":"u","Secret":"p"}'
END
    chmod 755 "$T/bin" "$T/bin"/*
}

setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER HOME=$T/home-$BATS_TEST_NUMBER XDG_RUNTIME_DIR=$T/xdg-$BATS_TEST_NUMBER
    export HELPER_DIR=$T/secrets-$BATS_TEST_NUMBER PATH=$T/bin:$PATH
    mkdir -p "$HOME" "$XDG_RUNTIME_DIR" "$HELPER_DIR"
    unset REGISTRY_AUTH_FILE DOCKER_CONFIG
    CONFIG=$HOME/.docker/config.json
}
teardown() { rm -rf "$HUSK_ROOT" "$HOME" "$XDG_RUNTIME_DIR" "$HELPER_DIR"; }

login() { printf 'p\n' | "$HUSK" login -u u --password-stdin "$@"; }

@test "a login is checked, kept in docker's file with mode 0600, used by pull and push, and forgotten" {
    run login "$REGISTRY"
    expect 0 "Login Succeeded"
    [[ $output == *"The credentials are kept in $CONFIG"* ]]
    [[ $(stat -c %a "$CONFIG") == 600 && $(stat -c %a "$HOME/.docker") == 700 ]]
    [[ $(jq -r ".auths[\"$REGISTRY\"].auth" "$CONFIG") == dTpw ]]
    run "$HUSK" login --get-login "$REGISTRY"
    expect 0 =u
    run "$HUSK" pull -q "$REGISTRY/x"
    expect 0
    run "$HUSK" push -q "$REGISTRY/x" "$REGISTRY/y"
    expect 0
    skopeo inspect --tls-verify=false --authfile "$CONFIG" "docker://$REGISTRY/y" >/dev/null # others read the file too
    run "$HUSK" login "$REGISTRY" </dev/null
    expect 0 "Already logged in to $REGISTRY"
    run "$HUSK" logout "$REGISTRY"
    expect 0 "Removed login credentials for $REGISTRY"
    run "$HUSK" logout "$REGISTRY"
    expect 0 "Not logged in to $REGISTRY"
    run "$HUSK" login --get-login "$REGISTRY"
    expect 1 "not logged in to $REGISTRY"
    run "$HUSK" pull -q "$REGISTRY/x"
    expect 1 "needs a user name and a password"
}

@test "refused credentials change nothing" {
    login "$REGISTRY"
    local before
    before=$(<"$CONFIG")
    run "$HUSK" login --username u --password wrong "$REGISTRY"
    expect 1 "registry '$REGISTRY' refuses the credentials"
    run "$HUSK" login --creds wrong:p "$REGISTRY"
    expect 1 "refuses the credentials"
    [[ $(<"$CONFIG") == "$before" ]]
    rm -rf "$HOME/.docker"
    run "$HUSK" login -u u -p wrong "$REGISTRY"
    expect 1
    [[ ! -e $HOME/.docker ]]
}

@test "what else is in the file stays, a link to it too, and a broken file is left alone" {
    mkdir -p "$HOME/.docker" "$HOME/dotfiles"
    printf '{"HttpHeaders":{"X":"y"},"auths":{"a.io":{"auth":"YTpi"},"https://%s/v1/":{"auth":"b2xkOm9sZA=="}},"detachKeys":"ctrl-x"}' \
        "$REGISTRY" >"$HOME/dotfiles/c.json"
    ln -s ../dotfiles/c.json "$CONFIG"
    run login "$REGISTRY"
    expect 0 "kept in $HOME/dotfiles/c.json"
    [[ -L $CONFIG ]]
    [[ $(jq -c '[.HttpHeaders.X, .detachKeys, .auths["a.io"].auth, (.auths | length)]' "$CONFIG") == '["y","ctrl-x","YTpi",2]' ]]
    run "$HUSK" logout "$REGISTRY"
    expect 0
    [[ $(jq -c '.auths | keys' "$CONFIG") == '["a.io"]' ]]
    printf '{"auths":' >"$HOME/dotfiles/c.json"
    run login "$REGISTRY"
    expect 1 "$HOME/dotfiles/c.json: "
    [[ $(<"$CONFIG") == '{"auths":' ]]
}

@test "podman's file is changed when it knows the registry, or when it is named" {
    local file=$XDG_RUNTIME_DIR/containers/auth.json
    mkdir -p "${file%/*}"
    printf '{"auths":{"%s":{"auth":"b2xkOm9sZA=="}}}' "$REGISTRY" >"$file"
    run login "$REGISTRY"
    expect 0 "kept in $file"
    [[ $(jq -r ".auths[\"$REGISTRY\"].auth" "$file") == dTpw && ! -e $CONFIG ]]
    run login --authfile "$HOME/a/b.json" "$REGISTRY"
    expect 0 "kept in $HOME/a/b.json"
    run env REGISTRY_AUTH_FILE="$HOME/c.json" "$HUSK" login --creds u:p "$REGISTRY"
    expect 0 "kept in $HOME/c.json"
    login "$REGISTRY" 2>/dev/null
    printf '{"auths":{"%s":{"auth":"dTpw"}}}' "$REGISTRY" >"$HOME/d.json"
    mkdir -p "$HOME/.docker"
    cp "$HOME/d.json" "$CONFIG"
    run "$HUSK" logout "$REGISTRY" # in both
    expect 0
    [[ $(jq -c '.auths' "$file") == '{}' && $(jq -c '.auths' "$CONFIG") == '{}' ]]
    run "$HUSK" logout --all --authfile "$HOME/c.json"
    expect 0 "Removed login credentials for all registries"
    [[ $(jq -c '.auths' "$HOME/c.json") == '{}' ]]
}

@test "podman's file below ~/.config counts; one that is named has to be there, and an empty one knows nobody" {
    local file=$HOME/.config/containers/auth.json
    mkdir -p "${file%/*}" "$HOME/.docker"
    printf '{"auths":{"%s":{"auth":"dTpw"}}}' "$REGISTRY" >"$file"
    : >"$CONFIG"
    run "$HUSK" image tags "$REGISTRY/x"
    expect 0 =latest
    run login "$REGISTRY"
    expect 0 "kept in $file"
    mv "$file" "$HOME/named.json"
    run "$HUSK" image tags "$REGISTRY/x"
    expect 1 "needs a user name and a password"
    run "$HUSK" image tags --authfile "$HOME/named.json" "$REGISTRY/x"
    expect 0 =latest
    run "$HUSK" image tags --authfile "$HOME/typo.json" "$REGISTRY/x"
    expect 1 "look for credentials: open '$HOME/typo.json': No such file or directory"
    run env REGISTRY_AUTH_FILE="$HOME/typo.json" "$HUSK" pull "$REGISTRY/x"
    expect 1 "open '$HOME/typo.json': No such file or directory"
    run env REGISTRY_AUTH_FILE="$HOME/new.json" "$HUSK" login --get-login "$REGISTRY"
    expect 1 "not logged in to $REGISTRY"
}

@test "a part of a registry may have credentials of its own" {
    run login "$REGISTRY/x"
    expect 0 "Login Succeeded"
    [[ $(jq -c '.auths | keys' "$CONFIG") == "[\"$REGISTRY/x\"]" ]]
    run "$HUSK" image tags "$REGISTRY/x"
    expect 0 =latest
    run "$HUSK" image tags "$REGISTRY/y"
    expect 1 "needs a user name and a password"
    skopeo inspect --tls-verify=false --authfile "$CONFIG" "docker://$REGISTRY/x" >/dev/null
    run "$HUSK" login "$REGISTRY/x" </dev/null
    expect 0 "Already logged in"
    run "$HUSK" logout "$REGISTRY"
    expect 0 "Not logged in to $REGISTRY"
    run "$HUSK" logout "$REGISTRY/x"
    expect 0 "Removed login credentials for $REGISTRY/x"
    check_table <<END
login $REGISTRY/x:latest   | 1 | HOST/PATH without a tag
login https://$REGISTRY/x  | 1 | is no registry
login -u u -p p $REGISTRY/ | 0 | Login Succeeded
END
    printf '{"credsStore":"test"}' >"$CONFIG"
    run login "$REGISTRY/x"
    expect 1 "keeps credentials with docker-credential-test, which knows registries alone"
}

@test "credential helpers: store, get, erase" {
    local store
    for store in '{"credsStore":"test"}' "{\"credHelpers\":{\"$REGISTRY\":\"test\"}}"; do
        rm -rf "$HOME/.docker" "$HELPER_DIR"/*
        mkdir -p "$HOME/.docker"
        printf '%s' "$store" >"$CONFIG"
        run login "$REGISTRY"
        expect 0 "kept in docker-credential-test"
        [[ $(jq -c ".auths[\"$REGISTRY\"]" "$CONFIG") == '{}' ]] # docker notes so that the helper has it
        run grep -c dTpw "$CONFIG"
        expect 1
        run "$HUSK" login --get-login "$REGISTRY"
        expect 0 =u
        run "$HUSK" pull -q "$REGISTRY/x"
        expect 0
        run "$HUSK" logout "$REGISTRY"
        expect 0 "Removed login"
        run "$HUSK" login --get-login "$REGISTRY"
        expect 1
        [[ $(sort -u "$HELPER_DIR/log" | tr '\n' ' ') == "erase get store " ]]
    done
    printf '{"credsStore":"broken"}' >"$CONFIG"
    run login "$REGISTRY"
    expect 1 "docker-credential-broken store: the keychain is locked"
    [[ $(<"$CONFIG") == '{"credsStore":"broken"}' ]]
    run "$HUSK" image tags "$REGISTRY/x"
    expect 1 "docker-credential-broken get: the keychain is locked"
    printf '{"credsStore":"missing"}' >"$CONFIG"
    run login "$REGISTRY"
    expect 1 "docker-credential-missing"
}

@test "a helper that hangs, talks without end, talks rubbish or leaves an agent behind keeps nobody waiting" {
    local agent
    mkdir -p "$HOME/.docker"
    while IFS='|' read -r name words; do
        printf '{"credsStore":"%s"}' "$name" >"$CONFIG"
        run timeout 60 "$HUSK" image tags --timeout 300ms "$REGISTRY/x"
        expect 1 "names a credential helper: going on without credentials: docker-credential-$name get: $words"
        [[ $output == *"needs a user name and a password"* ]]
    done <<'END'
hangs|it has not ended after 0.3 s, and is stopped
endless|its answer is longer than 1048576 bytes
rubbish|its answer: 
END
    printf '{"credsStore":"hangs"}' >"$CONFIG"
    run login --timeout 300ms "$REGISTRY"
    expect 1 "docker-credential-hangs store: it has not ended after 0.3 s, and is stopped"
    printf '{"credsStore":"agent"}' >"$CONFIG"
    run timeout 60 "$HUSK" image tags "$REGISTRY/x"
    expect 0 =latest
    while read -r agent; do kill "$agent"; done <"$HELPER_DIR/agents"
}

@test "podman's flags: a password out of a secret, docker's file by name, and which one was used" {
    printf 'p\n' | "$HUSK" secret create pass -
    printf 'wrong' | "$HUSK" secret create other -
    run "$HUSK" login -u u --secret pass --verbose --compat-auth-file "$HOME/c/config.json" "$REGISTRY" </dev/null
    expect 0 "Used: $HOME/c/config.json"
    [[ $(jq -r ".auths[\"$REGISTRY\"].auth" "$HOME/c/config.json") == dTpw && ! -e $CONFIG ]]
    run "$HUSK" login --get-login --compat-auth-file "$HOME/c/config.json" "$REGISTRY"
    expect 0 =u
    check_table <<END
login -u u --secret other $REGISTRY                            | 1 | refuses the credentials
login -u u --secret none $REGISTRY                             | 1 | --secret: 
login --secret pass $REGISTRY                                  | 1 | --secret needs --username
login -u u -p x --password-stdin $REGISTRY                     | 125 | exclude each other
login --compat-auth-file $HOME/c/x --authfile y $REGISTRY      | 1 | exclude each other
login -u u -p p --compat-auth-file $HOME/c/x $REGISTRY/team    | 1 | docker's file knows registries alone
logout --compat-auth-file $HOME/c/config.json $REGISTRY        | 0 | Removed login credentials for $REGISTRY
logout --compat-auth-file $HOME/c/config.json $REGISTRY        | 0 | Not logged in to $REGISTRY
END
}

@test "stored credentials that are not valid any more are asked for anew, by the name that there was" {
    mkdir -p "$HOME/.docker"
    printf '{"auths":{"%s":{"auth":"dTpvbGQ="}}}' "$REGISTRY" >"$CONFIG"
    run setsid "$HUSK" login "$REGISTRY" </dev/null
    expect 1 "refuses the credentials"
    run script -qec "'$HUSK' login '$REGISTRY'" /dev/null <<<$'\np\n'
    expect 0 "Login Succeeded"
    [[ $output == *"The stored credentials are not valid any more"*"Username (u): "*"Password: "* ]]
    [[ $(jq -r ".auths[\"$REGISTRY\"].auth" "$CONFIG") == dTpw ]]
}

@test "a registry that gives identity tokens: the token is kept, not the password, and is what pull shows" {
    : >"$T/liar/log"
    run login "$LIAR"
    expect 0 "Login Succeeded" # it lets everybody in
    run env LIE=token-identity "$HUSK" pull -q --creds u:p "$LIAR/token-identity"
    expect 0
    printf '{"auths":{"%s":{"auth":"dTo=","identitytoken":"the-identity"}}}' "$LIAR" >"$HOME/id.json"
    run "$HUSK" pull -q --authfile "$HOME/id.json" "$LIAR/token-identity"
    expect 0
    grep -q '^main POST /token/token-identity .*body=grant_type=refresh_token&client_id=husk&refresh_token=the-identity&scope=repository%3Atoken-identity%3Apull&service=liar' "$T/liar/log"
    printf '{"auths":{"%s":{"identitytoken":"stale"}}}' "$LIAR" >"$HOME/id.json"
    run "$HUSK" pull -q --authfile "$HOME/id.json" "$LIAR/token-identity"
    expect 1 "the credentials are refused"
    # the second server asks for a login at /v2/ itself, and gives a token for it
    run login "127.0.0.1:$(<"$T/liar/login-port")"
    expect 0 "Login Succeeded"
    [[ $(jq -r ".auths[\"127.0.0.1:$(<"$T/liar/login-port")\"].identitytoken" "$CONFIG") == the-identity ]]
    [[ $(jq -r ".auths[\"127.0.0.1:$(<"$T/liar/login-port")\"].auth" "$CONFIG") == dTo= ]] # "u:", no password
    run "$HUSK" login "127.0.0.1:$(<"$T/liar/login-port")"
    expect 0 "Already logged in"
}

@test "six logins at once: all are kept" {
    local port host pids=() pid
    for port in "${LIAR#*:}" "${REGISTRY#*:}" "$(<"$T/liar/login-port")"; do
        for host in 127.0.0.1 localhost; do
            login --authfile "$HOME/many.json" "$host:$port" >/dev/null 2>&1 &
            pids+=($!)
        done
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    [[ $(jq '.auths | length' "$HOME/many.json") == 6 ]]
}

@test "a person is asked on the terminal" {
    run script -qec "'$HUSK' login '$REGISTRY'" /dev/null <<<$'u\np\n'
    expect 0 "Login Succeeded"
    [[ $output == *"Username: "* && $output == *"Password: "* ]]
}

@test "an ordinary user logs in" {
    run as_user husk login --creds u:p "$REGISTRY"
    expect 0 "Login Succeeded"
    [[ $(stat -c '%a %U' "$USER_HOME/.docker/config.json") == "600 $HUSK_USER" ]]
    run as_user husk pull -q "$REGISTRY/x"
    expect 0
    as_user husk logout "$REGISTRY"
}

@test "wrong use: one sentence each" {
    check_table "$HUSK" <<EOF2
login x.io/repository:tag             | 1 | 'x.io/repository:tag' is no registry: name HOST or HOST:PORT, or HOST/PATH without a tag
login nodot                           | 1 | 'nodot' is no registry: name HOST with a dot in it, or HOST:PORT
login ''                              | 1 | '' is no registry
login --password-stdin $REGISTRY      | 1 | --password-stdin needs --username
login -u u --password-stdin $REGISTRY | 1 | --password-stdin: there is no password on standard input
login -u '' -p x $REGISTRY            | 1 | '' is no user name
login --creds u:p 127.0.0.1:1         | 1 | log in to 127.0.0.1:1: connect to 127.0.0.1:1: Connection refused
login a.io b.io                       | 1 | unexpected argument 'b.io'
logout --all x.io                     | 1 | --all and 'x.io' exclude each other
logout x.io                           | 0 | Not logged in to x.io
EOF2
    [[ ! -e $CONFIG ]]
}
