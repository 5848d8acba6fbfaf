/*
 * trust.h: the signature policy at the door: what comes from a place is asked for, its signatures are fetched and
 * checked where the policy wants some, and what goes into the store gets its record (image/trusted.h).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_TRANSPORT_TRUST_H
#define HUSK_TRANSPORT_TRUST_H

#include "image/trusted.h"
#include "transport/transport.h"

struct trust {
    struct policy *policy; /* NULL: all is welcome. Borrowed */
    struct layout *store;  /* where it is going; NULL: somewhere else */
};
/* For copy_options.admit: ctx is a struct trust. DENIED, UNSUPPORTED, and a request's errors. */
err *trust_admit(void *ctx, struct source *from, const struct registry_manifest *top,
                 const struct registry_manifest *chosen);
/* The same for pull_options.admit, whose ctx is one of these. All borrowed. */
struct trust_pull {
    struct trust trust;
    const struct ref *ref;
    const struct registry_options *registry;
};
err *trust_admit_pull(void *ctx, const struct registry_manifest *top, const struct registry_manifest *chosen);
/* An archive that is loaded: no signature comes with it. */
fallible trust_admit_archive(struct policy *policy, const char *transport, const char *path);
/* A root file system's tar that becomes an image: podman's transport "tarball", which has no scopes and no signatures.
 */
fallible trust_admit_tar(struct policy *policy);
/* An image of the store by its record: what the start of a container asks for when a verdict is missing. */
fallible trust_check_stored(struct layout *l, struct policy *policy, const struct image *image);

/* The signatures of a document: those under its tag ".sig". Added to t; none is no error. */
fallible trust_fetch(struct source *from, const char *digest, struct trusted *t);
/**
 * trust_find - a signature that satisfies a rule.
 * @digests: of the manifest, and of the indexes around it.
 * @ret: the one that fits; may be NULL. Borrowed from t. DENIED says why those that there are do not.
 */
fallible trust_find(const struct trusted *t, const struct strv *digests, const struct policy_rule *rule,
                    const char *image, const struct trusted_signature **ret);

#endif
