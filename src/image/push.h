/*
 * push.h: what a registry is given: blobs, manifests, and the removal of both. Open the registry with REGISTRY_PUSH (or
 * REGISTRY_DELETE). Functions may be called from several threads at once.
 * Source: distribution-spec 1.1, "Push", "Content Management".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_PUSH_H
#define HUSK_IMAGE_PUSH_H

#include "image/registry.h"

/* Does the repository have it? (HEAD) */
fallible registry_has_blob(struct registry *r, const char *digest, bool *ret_has);

/* Says before the first request (one token serves for all then) that blobs will be mounted from this repository. */
void registry_will_mount(struct registry *r, const char *from_repository);
/**
 * registry_mount_blob - take a blob over from another repository of the same registry, without sending it.
 * @ret_mounted: false: the registry does not do that, or the other repository does not have it (or may not be read).
 */
fallible registry_mount_blob(struct registry *r, const char *digest, const char *from_repository, bool *ret_mounted);

/* Where a blob's bytes come from. After a lost connection reading goes on elsewhere: seek() says where. */
struct registry_source {
    int64_t size;
    err *(*seek)(void *ctx, int64_t at);
    err *(*read)(void *ctx, void *buf, size_t max, size_t *ret_n); /* *ret_n 0: the end */
    void *ctx;
};
/* A whole file from its first byte; *fd must outlive the source and be used by nobody else meanwhile. */
struct registry_source registry_source_fd(int *fd, int64_t size);

/**
 * registry_put_blob - send a blob, whole in one request; in pieces when the registry takes no request so large; going
 * on where it was after a lost connection. Does not ask first whether it is there.
 * @digest:   what the registry checks it against.
 * @progress: NULL, or given the bytes sent so far; called in the calling thread.
 * Errors: CORRUPT (the registry finds another digest), EXHAUSTED (too large for it), those of registry.h, those of the
 * source.
 */
fallible registry_put_blob(struct registry *r, const char *digest, const struct registry_source *source,
                           registry_progress *progress, void *ctx);

/**
 * registry_put_manifest - a manifest or an index, byte for byte, under a tag or its digest. Where it names a subject
 * and the registry does not list referrers by itself, it is added to the list kept under a tag.
 * @ret_digest: of the bytes; NULL: not wanted. Caller frees.
 * Errors: CONFLICT (the registry misses a blob or manifest that it names), INVALID (the registry refuses it), those of
 * registry.h.
 */
fallible registry_put_manifest(struct registry *r, const char *tag_or_digest, const char *media_type, const char *text,
                               size_t len, char **ret_digest);

#endif
