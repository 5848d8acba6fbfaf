#!/usr/bin/env bats
# Certificates of authorities and of our own, proxies, HTTP/2; TLS is made here by openssl.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

# The registry speaks TLS as registry.test, and only to clients with a certificate of ours where that is asked for.
setup_file() {
    husk_setup_file
    "$HUSK_TOP/tests/bats/make-oci.py" "$T/oci" x=gzip:x
    make_certificates
    start_registry
    stop_registry
    PLAIN=$REGISTRY
    serve tls "tls: {certificate: \"$T/pki/server.cert\", key: \"$T/pki/server.key\"}"
    serve mutual "tls: {certificate: \"$T/pki/server.cert\", key: \"$T/pki/server.key\", clientcas: [\"$T/pki/ca.crt\"]}"
    start_proxy proxy
    start_proxy user-proxy --user u:p@p
    start_proxy tls-proxy --tls "$T/pki/server.cert" "$T/pki/server.key"
    local name
    for name in tls mutual; do
        wait_until 30 skopeo copy --quiet --preserve-digests --dest-tls-verify=false --dest-cert-dir "$T/pki/client" "oci:$T/oci:x" \
            "docker://127.0.0.1:$(<"$T/$name/port")/x"
    done
    export PLAIN
}
teardown_file() {
    local name
    for name in tls mutual proxy user-proxy tls-proxy; do [[ ! -e $T/$name/pid ]] || kill "$(<"$T/$name/pid")"; done
    husk_teardown_file
}

start_proxy() { # NAME [ARGUMENTS]
    local dir=$T/$1
    mkdir "$dir"
    "$HUSK_TOP/tests/bats/proxy.py" --dir "$dir" "${@:2}" "registry.test:443=127.0.0.1:$(<"$T/tls/port")" \
        "registry.test:80=$PLAIN" "mutual.test:443=127.0.0.1:$(<"$T/mutual/port")" >"$dir/out" 2>&1 3>&- &
    echo $! >"$dir/pid"
    wait_until 30 test -e "$dir/port"
}

make_certificates() {
    mkdir -p "$T/pki/client" "$T/pki/all" "$T/pki/other"
    (
        cd "$T/pki"
        for name in ca other-ca; do
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name" -keyout "$name.key" -out "$name.crt"
        done
        printf 'subjectAltName=DNS:registry.test,DNS:mutual.test,IP:127.0.0.1\n' >server.ext
        for name in server client; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$name.key" -out "$name.csr"
        done
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.cert
        openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out client.cert
        cp client.cert client.key client/
        cp client.cert client.key ca.crt all/
        cp other-ca.crt other/
    ) 2>"$T/pki/log"
    chmod -R a+rX "$T/pki"
}

serve() { # NAME TLS: a docker-registry on the port that start_registry found to be free, or another
    local dir=$T/$1 try
    mkdir -p "$dir"
    for try in 1 2 3 4 5 6 7 8; do
        echo $((20000 + RANDOM % 30000)) >"$dir/port"
        printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: "%s/data"}}\nhttp: {addr: "127.0.0.1:%s", %s}\n' \
            "$dir" "$(<"$dir/port")" "$2" >"$dir/config.yml"
        OTEL_TRACES_EXPORTER=none docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 3>&- </dev/null &
        echo $! >"$dir/pid"
        wait_until 10 answers "$1" && kill -0 "$(<"$dir/pid")" 2>/dev/null && return 0
    done
    cat "$dir/log"
    return 1
}
answers() {
    kill -0 "$(<"$T/$1/pid")" 2>/dev/null || return 0 # it is gone: no use to wait
    openssl s_client -connect "127.0.0.1:$(<"$T/$1/port")" -CAfile "$T/pki/ca.crt" -verify_return_error -brief </dev/null
}

setup() {
    husk_setup
    export HUSK_ROOT=$T/store-$BATS_TEST_NUMBER HOME=$T/home-$BATS_TEST_NUMBER
    export HTTPS_PROXY=http://127.0.0.1:$(<"$T/proxy/port") HTTP_PROXY=http://127.0.0.1:$(<"$T/proxy/port")
    unset http_proxy https_proxy no_proxy NO_PROXY XDG_CONFIG_HOME
    mkdir -p "$HOME"
}
teardown() { rm -rf "$HUSK_ROOT" "$HOME"; }

@test "an authority of our own: refused without it, taken from --cert-dir, certs.d and SSL_CERT_FILE" {
    run "$HUSK" pull registry.test/x
    expect 1 "registry.test:443 cannot prove who it is"
    run "$HUSK" pull --cert-dir "$T/pki/other" registry.test/x
    expect 1 "registry.test:443 cannot prove who it is"
    run "$HUSK" pull -q --cert-dir "$T/pki" registry.test/x
    expect 1 "there is no 'ca.cert' beside 'ca.key'"
    run "$HUSK" pull -q --cert-dir "$T/pki/all" registry.test/x
    expect 0 "=registry.test/x:latest"
    run env SSL_CERT_FILE="$T/pki/ca.crt" "$HUSK" pull -q registry.test/x
    expect 0
    mkdir "$HOME/authorities"
    cp "$T/pki/ca.crt" "$HOME/authorities/"
    printf -- '-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n' >"$HOME/authorities/a-broken.pem"
    head -c 2000 /dev/urandom >"$HOME/authorities/noise"
    run env SSL_CERT_DIR="/nowhere:$HOME/authorities" "$HUSK" pull -q registry.test/x # as Go's programs read it
    expect 0
    openssl rehash "$HOME/authorities"
    run env SSL_CERT_DIR="/nowhere:$HOME/authorities" "$HUSK" pull -q registry.test/x
    expect 0
    run env SSL_CERT_FILE="$T/pki/ca.crt" "$HUSK" pull -q --cert-dir "$T/pki/other" registry.test/x # besides, not instead
    expect 0
    mkdir "$HOME/none"
    run env SSL_CERT_DIR="$HOME/none" "$HUSK" pull -q registry.test/x
    expect 1 "registry.test:443 cannot prove who it is"
    mkdir -p "$HOME/.config/containers/certs.d/registry.test"
    cp "$T/pki/ca.crt" "$HOME/.config/containers/certs.d/registry.test/"
    run "$HUSK" pull -q registry.test/x
    expect 0
    run "$HUSK" pull -q mutual.test/x
    expect 1 "mutual.test:443 cannot prove who it is"
    run "$HUSK" pull -q --tls-verify=false --cert-dir "$T/pki/client" mutual.test/x
    expect 0
}

@test "a certificate of our own" {
    mkdir -p "$HOME/.config/containers/certs.d/mutual.test"
    cp "$T/pki/ca.crt" "$HOME/.config/containers/certs.d/mutual.test/"
    run "$HUSK" pull mutual.test/x
    expect 1 "mutual.test:443"
    cp "$T/pki/client.cert" "$T/pki/client.key" "$HOME/.config/containers/certs.d/mutual.test/"
    run "$HUSK" pull -q mutual.test/x
    expect 0 "=mutual.test/x:latest"
    run "$HUSK" push -q mutual.test/x mutual.test/y
    expect 0 "=mutual.test/y:latest"
    printf 'not a key\n' >"$HOME/.config/containers/certs.d/mutual.test/client.key"
    run "$HUSK" pull mutual.test/x
    expect 1 "'client.key' is no PEM text"
    rm "$HOME/.config/containers/certs.d/mutual.test/client.key"
    run "$HUSK" pull mutual.test/x
    expect 1 "there is no 'client.key' beside 'client.cert'"
    run "$HUSK" pull --cert-dir "$HOME/none" mutual.test/x
    expect 1 "there is no folder '$HOME/none'"
}

@test "a proxy is used for others, never for this machine, and not for what NO_PROXY names" {
    : >"$T/proxy/log"
    run "$HUSK" pull -q --cert-dir "$T/pki/all" registry.test/x
    expect 0
    grep -q '^CONNECT registry.test:443$' "$T/proxy/log"
    : >"$T/proxy/log"
    run "$HUSK" pull -q "127.0.0.1:$(<"$T/tls/port")/x"
    expect 0
    [[ ! -s $T/proxy/log ]]
    run env NO_PROXY=.test "$HUSK" pull -q --retry 0 registry.test/x
    expect 1 "$(no_host registry.test)"
    [[ ! -s $T/proxy/log ]]
    run "$HUSK" pull -q unknown.test/x
    expect 1 "unknown.test:443"
    run env HTTPS_PROXY=http://127.0.0.1:1 "$HUSK" pull -q registry.test/x
    expect 1 "Connection refused"
}

@test "NO_PROXY by domain, port and network, as docker and podman read it" {
    local list
    for list in '*.test' registry.test:443 'x.io, .test' '*'; do
        : >"$T/proxy/log"
        run env NO_PROXY="$list" "$HUSK" pull -q --retry 0 --cert-dir "$T/pki/all" registry.test/x
        expect 1 "$(no_host registry.test)"
        [[ ! -s $T/proxy/log ]] || { echo "$list: $(<"$T/proxy/log")"; return 1; }
    done
    for list in registry.test:5000 10.0.0.0/8 '*.registry.test' est; do
        run env NO_PROXY="$list" "$HUSK" image tags --cert-dir "$T/pki/all" registry.test/x
        expect 0 =latest
    done
}

@test "a proxy that wants a password, that speaks TLS, or that is not there: used, or named in one sentence" {
    local user=127.0.0.1:$(<"$T/user-proxy/port") tls=127.0.0.1:$(<"$T/tls-proxy/port")
    local -a tags=("$HUSK" image tags --cert-dir "$T/pki/all" registry.test/x)
    run env HTTPS_PROXY="http://$user" "${tags[@]}"
    expect 1 "connect to registry.test:443: the proxy $user wants a user name and a password"
    run env HTTPS_PROXY="http://u:wrong@$user" "${tags[@]}"
    expect 1 "the proxy $user refuses the user name or the password"
    [[ $output != *wrong* ]]
    run env HTTPS_PROXY="http://u:p%40p@$user" "${tags[@]}"
    expect 0 =latest
    run env HTTPS_PROXY="https://$tls" "${tags[@]}"
    expect 1 "the proxy $tls cannot prove who it is"
    run env HTTPS_PROXY="https://$tls" SSL_CERT_FILE="$T/pki/ca.crt" "${tags[@]}"
    expect 0 =latest
    [[ $(tail -n 1 "$T/tls-proxy/log") == "CONNECT registry.test:443" ]]
    run env HTTPS_PROXY=http://127.0.0.1:1 "${tags[@]}"
    expect 1 "connect to registry.test:443: the proxy 127.0.0.1:1: Connection refused"
    run "$HUSK" image tags unknown.test/x
    expect 1 "connect to unknown.test:443: the proxy 127.0.0.1:$(<"$T/proxy/port") answers 502"
    run env -u HTTPS_PROXY HTTP_PROXY="http://$user" "$HUSK" image tags --tls-verify=false registry.test:80/x
    expect 1 "the proxy $user wants a user name and a password"
}

@test "HTTP/2 where the server has it" {
    run env HUSK_LOG=debug "$HUSK" pull -q --cert-dir "$T/pki/all" registry.test/x
    expect 0 "200 by HTTP/2"
}

@test "an ordinary user with an authority of their own" {
    as_user mkdir -p "$USER_HOME/.config/containers/certs.d/registry.test"
    as_user cp "$T/pki/ca.crt" "$USER_HOME/.config/containers/certs.d/registry.test/"
    run as_user env HTTPS_PROXY="$HTTPS_PROXY" "$HUSK" pull -q registry.test/x
    expect 0 "=registry.test/x:latest"
}
