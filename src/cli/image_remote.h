/*
 * image_remote.h: the options of every command that speaks to a registry, and what is made of them before the program
 * confines itself: credentials (helpers are programs), and files of the user's own.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_REMOTE_H
#define HUSK_CLI_IMAGE_REMOTE_H

#include "base/opt.h"
#include "image/registry.h"

struct remote_opts {
    const char *creds, *creds_file, *authfile, *cert_dir, *tls_verify;
    struct opt_u64 timeout, retry_delay;
    struct opt_i64 retry;
    struct opt_bool disable_content_trust;
};
extern const char *const remote_true_false[];

/* Rows for a command's table; its struct has a member "struct remote_opts remote". */
// clang-format off
#define REMOTE_OPTIONS(T)                                                                                              \
    OPT_STR(0, "authfile", T, remote.authfile, "FILE", "Credentials are in this file"),                                \
    OPT_STR(0, "cert-dir", T, remote.cert_dir, "DIR", "Certificates (*.crt, *.cert, *.key) are in this folder"),          \
    OPT_STR(0, "creds", T, remote.creds, "USER:PASSWORD", "Log in with these instead of what is stored"),              \
    OPT_STR(0, "creds-file", T, remote.creds_file, "FILE", "The same from this file's first line"),                     \
    OPT_STR(0, "tls-verify", T, remote.tls_verify, "true|false",                                                       \
            "Check the registry's certificate; false also allows http", .words = remote_true_false),                   \
    OPT_DURATION(0, "timeout", T, remote.timeout, "TIME", "Give up when nothing arrives for this long (default 30s)"), \
    OPT_I64(0, "retry", T, remote.retry, "N",                                                                          \
            "Try each request again so often, also while nobody answers (default 4: once it has, or while no "         \
            "name server can say where it is)"),                                                                       \
    OPT_DURATION(0, "retry-delay", T, remote.retry_delay, "TIME",                                                      \
                 "Wait so long before the first of them, doubled each time (default 200ms)")
// clang-format on

/* docker's, for pull and push. */
#define TRUST_OPTION(T)                                                                                                \
    OPT_SWITCH(0, "disable-content-trust", T, remote.disable_content_trust,                                            \
               "Always true: there is no Notary; signatures are asked for by policy.json")

/* A row for those that let images in; its struct has a member "const char *policy". */
#define POLICY_OPTION(T)                                                                                               \
    OPT_STR(0, "signature-policy", T, policy, "FILE", "The signature policy to ask instead of policy.json")

/* All that registry_open() needs for a reference, read before the program confines itself: the places where it may be
 * by registries.conf, their credentials and certificates. */
struct remote {
    struct registry_options options; /* borrows from what follows */
    struct registry_places places;
    struct credentials **auths;
    struct http_certs **certs;
    struct registry_endpoint *endpoints;
};
fallible remote_prepare(const struct remote_opts *opts, const struct ref *ref, enum registry_access access,
                        struct remote **ret);
/* For a login with these credentials, borrowed. */
fallible remote_prepare_login(const struct remote_opts *opts, const char *registry, const struct credentials *auth,
                              struct remote **ret);
void remote_free(struct remote *r);
OWN_TYPE(remote, struct remote *, remote_free)
/* What --creds or --creds-file says; *ret NULL: neither was given. */
fallible remote_given(const struct remote_opts *opts, struct credentials **ret);

/* --digestfile, opened as the user that we still are; *ret_fd -1: path is NULL. */
fallible digestfile_open(const char *path, int *ret_fd);

/* What a user typed, as full references in the order in which they are tried: see registries_resolve(). */
fallible remote_resolve(const char *text, struct strv *ret_names);
/* The registries where a word alone is searched for. */
fallible remote_search_list(struct strv *ret_registries);

/* For messages and --help. */
#define REMOTE_DETAIL                                                                                                  \
    "Registries on this machine (127.0.0.0/8, ::1, localhost) are spoken to over http, all others over https with\n"   \
    "their certificate checked. registries.conf (of /etc/containers, ~/.config/containers or\n"                        \
    "$CONTAINERS_REGISTRIES_CONF, with registries.conf.d) says which are insecure or blocked, which mirrors are "      \
    "asked\n"                                                                                                          \
    "first, and what a name without a registry means; HUSK_INSECURE_REGISTRIES, a comma-separated list of HOST or\n"   \
    "HOST:PORT, names more for which --tls-verify=false is always meant. Credentials come from --creds, "              \
    "--creds-file, --authfile,\n"                                                                                      \
    "$REGISTRY_AUTH_FILE, $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json or\n"                  \
    "~/.docker/config.json with its credential helpers; certificates from --cert-dir, ~/.config/containers/certs.d, "  \
    "/etc/containers/certs.d or\n"                                                                                     \
    "/etc/docker/certs.d.\n"                                                                                           \
    "\n"                                                                                                               \
    "SSL_CERT_FILE and SSL_CERT_DIR (folders; all files in them) name other certificate\n"                             \
    "authorities than the system's; HTTP_PROXY, HTTPS_PROXY and NO_PROXY (hosts, domains, networks, each also with\n"  \
    "a port) are followed."

#endif
