/*
 * auth.h: credentials for a registry, from where docker and podman keep them, and the registry's own word
 * (WWW-Authenticate) on how it wants them.
 *
 * Looked up in $REGISTRY_AUTH_FILE alone when it is set; else in ${XDG_RUNTIME_DIR}/containers/auth.json (without
 * XDG_RUNTIME_DIR: /run/containers/<uid>/auth.json), ${XDG_CONFIG_HOME:-~/.config}/containers/auth.json and then
 * ${DOCKER_CONFIG:-~/.docker}/config.json: the first that knows the registry wins. In each: credHelpers, auths (the
 * longest key that fits), credsStore. Source: docker's config.json, containers-auth.json(5), docker-credential-helpers'
 * README.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_AUTH_H
#define HUSK_IMAGE_AUTH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct credentials {
    char *user, *password;
    char *identity_token; /* an OAuth2 refresh token, instead of a password */
};
void credentials_free(struct credentials *c);
OWN_TYPE(credentials, struct credentials *, credentials_free)

/* "USER:PASSWORD" */
fallible credentials_parse(const char *pair, struct credentials **ret);
/* *ret is NULL when nobody knows the registry: anonymous. Runs docker-credential-* programs, each for at most wait_ns
 * (0: two minutes); one that fails is warned of.
 * @file: look only there; NULL: where the header says. NOT_FOUND: it, or $REGISTRY_AUTH_FILE, is not there. */
fallible credentials_find(const char *file, const char *registry, const char *repository, uint64_t wait_ns,
                          struct credentials **ret);

/* Of docker-credential-NAME; *ret NULL: it does not know. */
fallible credentials_from_helper(const char *name, const char *registry, uint64_t wait_ns, struct credentials **ret);

/* One file's answer, for credentials_find() and tests. *ret_helper: name of the program to ask ("pass" for
 * docker-credential-pass), or NULL. Both NULL: the file does not know. */
fallible credentials_in_file(const char *text, size_t len, const char *registry, const char *repository,
                             struct credentials **ret, char **ret_helper);

/**
 * credentials_save - keep them (registry: HOST[:PORT][/PATH]): in the file that knows the registry already, else in
 * docker's; by its credential helper when it names one. The file is replaced whole (0600), what else is in it stays.
 * @file: write there; NULL: as credentials_find() looks.
 * @ret_where: the file, for a message; caller frees.
 * Errors: INVALID (the file is not what it should be: it stays as it is), DENIED, UNAVAILABLE (the helper).
 */
fallible credentials_save(const char *file, const char *registry, const struct credentials *c, uint64_t wait_ns,
                          char **ret_where);
/* Forgets a registry, or all (NULL), in every file that knows it, and in the helpers that they name. */
fallible credentials_erase(const char *file, const char *registry, bool *ret_found);

/* What a 401 asks for. Source: RFC 9110 section 11.6.1, distribution-spec "token authentication". */
struct challenge {
    enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER } scheme;
    char *realm, *service, *scope, *error;
};
void challenge_free(struct challenge *c);
OWN_TYPE(challenge, struct challenge *, challenge_free)
/* The strongest scheme that we know in a header's value; CHALLENGE_NONE when there is none. INVALID: malformed. */
fallible challenge_parse(const char *header, struct challenge **ret);

/* Caller frees. */
char *base64_encode(const void *bytes, size_t n);
/* INVALID; the result is NUL-terminated, and a NUL inside is refused. */
fallible base64_decode(const char *text, char **ret);

#endif
