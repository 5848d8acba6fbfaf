/*
 * policy.h: policy.json: which images may come in and which may run. The file is
 *
 *   the one that is named (--signature-policy), or the first of these that is there:
 *   ${XDG_CONFIG_HOME:-~/.config}/containers/policy.json, /etc/husk/policy.json, /etc/containers/policy.json
 *
 * The rules of the most specific scope hold, all of them; without a file all is welcome. This header needs no hashing:
 * the hot path asks it. Who checks signatures is image/sigstore.h, and transport/trust.h brings the two together.
 * Source: containers-policy.json(5).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_POLICY_H
#define HUSK_IMAGE_POLICY_H

#include "base/err.h"
#include "base/mem.h"

enum policy_kind { POLICY_ACCEPT, POLICY_REJECT, POLICY_SIGNED_BY, POLICY_SIGSTORE };
enum policy_identity {
    POLICY_REPO_DIGEST_OR_EXACT, /* the default */
    POLICY_EXACT,
    POLICY_REPOSITORY,
    POLICY_EXACT_REFERENCE,
    POLICY_EXACT_REPOSITORY,
    POLICY_REMAP,
};

struct policy_rule {
    enum policy_kind kind;
    struct strv key_paths;
    struct strv keys; /* PEM texts: those given in the file, and what policy_read_keys() has read */
    bool keys_read;
    enum policy_identity identity;
    char *reference, *prefix, *signed_prefix; /* of the identity, as it needs them */
};
struct policy_rules { /* of one scope */
    char *scope;      /* "docker.io/library", "" */
    struct policy_rule *items;
    size_t n;
};
struct policy {
    char *path; /* of the file, for messages */
    struct policy_rules fallback;
    struct policy_transport {
        char *name; /* "docker" */
        struct policy_rules *scopes;
        size_t n;
    } * transports;
    size_t n;
};
void policy_free(struct policy *p);
OWN_TYPE(policy, struct policy *, policy_free)

/* @given: a file that must be there, or NULL. *ret NULL: there is no file. INVALID names the file and what is wrong:
 * as the format demands, unknown keys are errors. Called before the process is root of anything. */
fallible policy_load(const char *given, struct policy **ret);
fallible policy_parse(const char *path, const char *text, size_t len, struct policy **ret);

/* The rules for an image: of its own scope, else of what is around it, of the transport, of all. Borrowed.
 * @scope: for docker the full name; else an absolute path, with ":NAME" for a part of it; or "". */
struct policy_rules *policy_find(struct policy *p, const char *transport, const char *scope);
/* Nothing to check: all rules accept anything. */
bool policy_accepts_all(const struct policy_rules *rules);
/* Reads the rules' key files. NOT_FOUND and the like name the file. */
fallible policy_read_keys(struct policy_rules *rules);
/* The same for all scopes, for a program that is about to confine itself: a file that cannot be read is an error when
 * its rule is asked for. */
void policy_read_all_keys(struct policy *p);

/**
 * policy_identity_fits - is what was signed the image that was asked for?
 * @image:  its full name ("docker.io/library/a:1", "...@sha256:.."); NULL: it has none.
 * @signed_as: the reference in the signature.
 */
bool policy_identity_fits(const struct policy_rule *rule, const char *image, const char *signed_as);

/* All that a verdict depends on, keys included, as a text that is the same for the same rule. Caller frees. */
char *policy_rule_text(const struct policy_rule *rule);

#endif
