/*
 * trusted.h: what is known about where an image of the store came from, and who has signed it:
 * <store>/trust/HEX.json, HEX being the digest of its (platform's) manifest:
 *
 *   {"origins":["docker.io/library/a:1"],             names under which a policy let it in from a registry
 *    "signatures":[{"payload":"{..}","signature":BASE64}],
 *    "verdicts":[{"image":NAME,"rule":TEXT}]}         rules (policy_rule_text()) that one of the signatures satisfied
 *
 * A verdict saves the checking when an image runs; a rule or key that has changed since is another text. The store is
 * its owner's alone, so nobody else writes there. The hot path reads it; the files go with their manifests.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_TRUSTED_H
#define HUSK_IMAGE_TRUSTED_H

#include "image/layout.h"
#include "image/policy.h"

struct trusted_signature {
    char *payload, *signature;
};
struct trusted_verdict {
    char *image, *rule;
};
struct trusted {
    struct strv origins;
    struct trusted_signature *signatures;
    size_t signatures_n;
    struct trusted_verdict *verdicts;
    size_t verdicts_n;
};
void trusted_free(struct trusted *t);
OWN_TYPE(trusted, struct trusted *, trusted_free)

/* Never NULL on success: what has no file is empty. */
fallible trusted_read(struct layout *l, const char *manifest_digest, struct trusted **ret);
fallible trusted_write(struct layout *l, const char *manifest_digest, const struct trusted *t);
bool trusted_has_verdict(const struct trusted *t, const char *image, const char *rule_text);
/* Nothing to do when they are there. */
void trusted_add_verdict(struct trusted *t, const char *image, const char *rule_text);
void trusted_add_signature(struct trusted *t, const char *payload, const char *signature);

/* Is a signature there that satisfies a rule of the kind POLICY_SIGSTORE? NULL: yes. DENIED says what there is. */
typedef err *trusted_check(void *ctx, const struct policy_rule *rule, const char *image);
/**
 * trusted_ask - may this image be used?
 * @transport, @scope: as policy_find()'s.
 * @image: its full name, for identities; NULL: it has none.
 * Errors: DENIED; UNSUPPORTED: a rule that husk cannot check; each names the policy's file and the scope.
 */
fallible trusted_ask(struct policy *p, const char *transport, const char *scope, const char *image,
                     trusted_check *check, void *ctx);
/**
 * trusted_ask_stored - may this image of the store run? Its name is asked for as the one of a registry, then the names
 * under which it came in: one is enough.
 * @names: the name that it is found by, or all that it has. None: the rule for docker as a whole.
 */
fallible trusted_ask_stored(struct policy *p, const struct trusted *t, const struct strv *names, trusted_check *check,
                            void *ctx);
/* The names by which an image is asked for: its own, or all that lead to its manifest. */
fallible trusted_names(struct layout *l, const struct image *image, struct strv *ret);

#endif
