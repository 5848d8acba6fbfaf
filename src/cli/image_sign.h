/*
 * image_sign.h: what is pushed is signed at once: the options of push, manifest push and copy for it.
 * Compatible with: podman push --sign-by-sigstore-private-key, skopeo copy's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_SIGN_H
#define HUSK_CLI_IMAGE_SIGN_H

#include "base/opt.h"
#include "image/registry.h"
#include "image/sigstore.h"

struct sign_by {
    const char *private_key, *passphrase_file;
    const char *gpg, *parameters, *sequoia; /* refused, with what there is instead */
};
/* Rows for a command's table; its struct has a member "struct sign_by sign". */
#define SIGN_BY_OPTIONS(T)                                                                                             \
    OPT_STR(0, "sign-by", T, sign.gpg, "FINGERPRINT", "As with podman: refused, since husk signs without GnuPG"),      \
        OPT_STR(0, "sign-by-sigstore", T, sign.parameters, "FILE",                                                     \
                "As with podman: refused, name the key with --sign-by-sigstore-private-key"),                          \
        OPT_STR(0, "sign-by-sigstore-private-key", T, sign.private_key, "FILE",                                        \
                "Sign what was pushed with this key, as `husk image sign` does, beside it in the registry"),           \
        OPT_STR(0, "sign-by-sq-fingerprint", T, sign.sequoia, "FINGERPRINT",                                           \
                "As with podman: refused, since husk signs without Sequoia"),                                          \
        OPT_STR(0, "sign-passphrase-file", T, sign.passphrase_file, "FILE",                                            \
                "That key's password is the first line of this file (default: $COSIGN_PASSWORD, or it is asked for)")

/* Before the program confines itself. *ret NULL: nothing is to be signed. */
fallible sign_by_key(const struct sign_by *o, struct sigstore_key **ret);
/* The image with this digest at the registry, and each image of an index; for the name that it was pushed to. */
fallible sign_pushed(const struct sigstore_key *key, const struct ref *to, const struct registry_options *registry,
                     const char *digest);

#endif
