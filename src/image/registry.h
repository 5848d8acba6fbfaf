/*
 * registry.h: a client for the registry API v2, over libcurl: what it reads; push.h is what it writes. Only husk-image
 * links it.
 *
 * Loopback registries are spoken to over http first, then https; insecure ones over https without checking the
 * certificate, then http; all others only over https with a certificate that is checked. The Authorization header goes
 * to the registry's own scheme, host and port and never along with a redirect elsewhere. Functions may be called from
 * several threads at once.
 * Source: distribution-spec 1.1, "Pull"; token authentication specification.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_REGISTRY_H
#define HUSK_IMAGE_REGISTRY_H

#include <stdint.h>

#include "base/mem.h"
#include "image/auth.h"
#include "image/blob.h"
#include "image/http.h"
#include "image/ref.h"
#include "image/registries.h"

enum registry_access {
    REGISTRY_PULL,
    REGISTRY_PUSH,
    REGISTRY_DELETE
}; /* what tokens are asked for; each may do the
      ones before it */
/* A place, and what is needed to speak to the server there. All borrowed. */
struct registry_endpoint {
    const struct registry_place *place;
    const struct credentials *auth; /* NULL: anonymous */
    const struct http_certs *certs; /* NULL: the system's authorities, and no certificate of our own */
};
struct registry_options {
    enum registry_access access;
    bool insecure;           /* http, and certificates that are not checked, are allowed, whatever the endpoint says */
    uint64_t stall_ns;       /* give up a transfer in which nothing arrives for this long; 0: 30 s */
    int attempts;            /* of each request, also while nobody answers; 0: up to 5, of what may pass */
    uint64_t retry_delay_ns; /* before the second, doubled each time; 0: 0.2 s */
    const struct credentials *auth; /* borrowed; NULL: anonymous; for when there are no endpoints */
    /* In the order in which they are asked: mirrors first. 0: the reference's own registry alone. The last one is where
     * is written to. */
    const struct registry_endpoint *endpoints;
    size_t endpoints_n;
};
struct registry;
/* No request is made yet. */
fallible registry_open(const struct ref *ref, const struct registry_options *options, struct registry **ret);
void registry_free(struct registry *r);
OWN_TYPE(registry, struct registry *, registry_free)

/* Is the registry named in $HUSK_INSECURE_REGISTRIES (a comma-separated list of host or host:port)? */
bool registry_named_insecure(const char *registry);

enum { REGISTRY_MANIFEST_MAX = 4 << 20 }; /* bytes */

struct registry_manifest {
    char *text; /* the bytes as sent: their digest is the manifest's */
    size_t len;
    char *digest;
    char *media_type;
};
void registry_manifest_free(struct registry_manifest *m);
OWN_TYPE(registry_manifest, struct registry_manifest *, registry_manifest_free)

/**
 * registry_get_manifest - a manifest or an index.
 * @tag_or_digest: the bytes are checked against a digest.
 * Errors: NOT_FOUND (no such image), UNAUTHENTICATED, DENIED, CORRUPT (digest, or no manifest at all), UNAVAILABLE,
 * UNSUPPORTED (schema 1), TIMEOUT.
 */
fallible registry_get_manifest(struct registry *r, const char *tag_or_digest, struct registry_manifest **ret);

/* Bytes of the blob so far; called in the calling thread. An error it returns ends the transfer. */
typedef err *registry_progress(void *ctx, int64_t bytes);
/* Fetches into a blob, going on after lost connections; blob_end() is the caller's. */
fallible registry_get_blob(struct registry *r, const char *digest, struct blob *blob, registry_progress *progress,
                           void *ctx);
/* Writes a blob into a pipe, going on after lost connections. Nothing is checked: whoever reads it hashes it.
 * CANCELLED with EPIPE when nobody reads any more (SIGPIPE is the caller's to ignore). */
fallible registry_send_blob(struct registry *r, const char *digest, int out_fd);
/**
 * registry_head_manifest - what a tag or digest stands for, without fetching it (HEAD). A registry that does not say
 * the digest is asked for the whole manifest.
 * @ret_media_type: may be NULL: not wanted.
 * Errors: those of registry_get_manifest().
 */
fallible registry_head_manifest(struct registry *r, const char *tag_or_digest, char **ret_digest, char **ret_media_type,
                                int64_t *ret_size);

/* Is it a mirror that is asked? Then what turns out to be wrong may be had from the registry itself. */
bool registry_asks_mirror(const struct registry *r);
fallible registry_get_blob_past_mirrors(struct registry *r, const char *digest, struct blob *blob,
                                        registry_progress *progress, void *ctx);

/* The repository's tags, all pages. */
fallible registry_list_tags(struct registry *r, struct strv *ret_tags);
/**
 * registry_list_referrers - what points at a manifest by its "subject": signatures, SBOMs.
 * @artifact_type: only those of this type; NULL: all.
 * @ret: never NULL on success; empty when there are none. From the referrers API, or where the registry has none from
 *       the tag "sha256-<hex>".
 * Source: distribution-spec "Listing Referrers", "Referrers Tag Schema".
 */
fallible registry_list_referrers(struct registry *r, const char *digest, const char *artifact_type,
                                 struct oci_index **ret);
/* "sha256-<hex>": where a registry without the referrers API keeps their list. Caller frees. */
char *registry_referrers_tag(const char *digest);

/**
 * registry_login - are options->auth good for this registry? ("docker.io")
 * @ret_identity: a token to keep instead of the password, where the registry gives one; else NULL. Caller frees.
 * Errors: UNAUTHENTICATED, and those of a request.
 */
fallible registry_login(const char *registry, const struct registry_options *options, char **ret_identity);

#endif
