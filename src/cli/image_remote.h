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
    const char *creds, *authfile, *tls_verify;
    struct opt_u64 timeout;
};
extern const char *const remote_true_false[];

/* Rows for a command's table; its struct has a member "struct remote_opts remote". */
// clang-format off
#define REMOTE_OPTIONS(T)                                                                                              \
    OPT_STR(0, "authfile", T, remote.authfile, "FILE", "Credentials are in this file"),                                \
    OPT_STR(0, "creds", T, remote.creds, "USER:PASSWORD", "Log in with these instead of what is stored"),              \
    OPT_STR(0, "tls-verify", T, remote.tls_verify, "true|false",                                                       \
            "Check the registry's certificate; false also allows http", .words = remote_true_false),                   \
    OPT_DURATION(0, "timeout", T, remote.timeout, "TIME", "Give up when nothing arrives for this long (default 30s)")
// clang-format on

/* All that registry_open() needs for a reference: options borrow from the rest. */
struct remote {
    struct registry_options options;
    struct credentials *auth;
};
fallible remote_prepare(const struct remote_opts *opts, const struct ref *ref, enum registry_access access,
                        struct remote **ret);
/* The same with these credentials, borrowed, and no others. */
fallible remote_prepare_with(const struct remote_opts *opts, const char *registry, enum registry_access access,
                             const struct credentials *auth, struct remote **ret);
void remote_free(struct remote *r);
OWN_TYPE(remote, struct remote *, remote_free)

/* For messages and --help. */
#define REMOTE_DETAIL                                                                                                  \
    "Registries on this machine (127.0.0.0/8, ::1, localhost) are spoken to over http, all others over https with\n"   \
    "their certificate checked. HUSK_INSECURE_REGISTRIES, a comma-separated list of HOST or HOST:PORT, names those\n"  \
    "for which --tls-verify=false is always meant. Credentials come from --creds, --authfile, $REGISTRY_AUTH_FILE,\n"  \
    "$XDG_RUNTIME_DIR/containers/auth.json or ~/.docker/config.json with its credential helpers.\n"                    \
    "\n"                                                                                                               \
    "SSL_CERT_FILE names other certificate authorities than the system's; http_proxy, https_proxy and no_proxy are\n"  \
    "followed."

#endif
