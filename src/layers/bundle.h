/*
 * bundle.h: the files of an image archive (docker-archive, oci-archive; packed or not; from a pipe too) or of a
 * directory (OCI layout), by their paths, on their way into the store.
 *
 * An archive is read once, from front to end: what may be wanted is spooled into the store's staging and hashed on the
 * way, so that it becomes a blob by a rename. Everything in it is a stranger's: a path leads to nothing but a member,
 * and in a directory nowhere outside of it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_BUNDLE_H
#define HUSK_LAYERS_BUNDLE_H

#include "image/layout.h"

struct bundle;
/* archive_fd: borrowed; a file or a pipe. Bytes and entries are limited as a layer's are (layers/untar.h). */
fallible bundle_open_archive(struct layout *l, int archive_fd, struct bundle **ret);
/* dir_fd: borrowed while the bundle lives. */
fallible bundle_open_dir(struct layout *l, int dir_fd, struct bundle **ret);
/* Removes what is left in staging. */
void bundle_free(struct bundle *b);
OWN_TYPE(bundle, struct bundle *, bundle_free)

bool bundle_has(struct bundle *b, const char *path);
/* An archive without a single entry; of a directory it is not known. */
bool bundle_empty(const struct bundle *b);
/* A document of at most 4 MiB. NOT_FOUND names the path. */
fallible bundle_read(struct bundle *b, const char *path, char **ret_text, size_t *ret_len);
/**
 * bundle_put - make a blob of a member.
 * @digest: what it must be; NULL: whatever it is. @size: -1: whatever it is.
 * @ret_digest: may be NULL; caller frees. @ret_size: may be NULL.
 * Errors: NOT_FOUND, CORRUPT.
 */
fallible bundle_put(struct bundle *b, const char *path, const char *digest, int64_t size, char **ret_digest,
                    int64_t *ret_size);

#endif
