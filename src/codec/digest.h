/*
 * digest.h: digests of bytes that stream by, written as OCI does: "sha256:<hex>". OpenSSL: only husk-image links it.
 * Source: image-spec descriptor.md, "Registered algorithms".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_DIGEST_H
#define HUSK_CODEC_DIGEST_H

#include "base/err.h"

struct digest;
/* @algorithm: "sha256" or "sha512", or a whole digest of that kind; NULL: sha256. UNSUPPORTED for any other. */
fallible digest_new(const char *algorithm, struct digest **ret);
void digest_add(struct digest *d, const void *bytes, size_t n);
/* "sha256:<hex>" of all that was added; nothing can be added after. Caller frees. */
char *digest_end(struct digest *d);
void digest_free(struct digest *d);
OWN_TYPE(digest, struct digest *, digest_free)

/* sha256 of bytes in memory. Caller frees. */
char *digest_of(const void *bytes, size_t n);

#endif
