/*
 * blob.h: a blob on its way into the store. Its bytes go to <store>/tmp/blob-sha256-<hex>, hashed as they arrive; when
 * size and digest are right it is synced and renamed into blobs/sha256/. So a blob is there whole and verified or not
 * at all. Only husk-image links this (hashing).
 *
 * The staging file is locked (flock) by who fills it. A second writer of the same blob waits for the first and then
 * finds the blob there, so it is fetched once. A killed writer leaves its bytes; the next one goes on from there.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_BLOB_H
#define HUSK_IMAGE_BLOB_H

#include "image/follow.h"
#include "image/layout.h"

struct blob;
/**
 * blob_begin - start or go on with a blob.
 * @digest, @size: what it must turn out to be.
 * @ret: NULL when the store has it already (or has it now, after waiting for another writer).
 */
fallible blob_begin(struct layout *l, const char *digest, int64_t size, struct blob **ret);
/* Bytes that an earlier, killed writer left, or that this one has added. */
int64_t blob_bytes(const struct blob *b);
/* Forgets all bytes so far: the sender began again. */
fallible blob_restart(struct blob *b);
/* CORRUPT once it is longer than promised. EXHAUSTED: the disk is full. */
fallible blob_add(struct blob *b, const void *bytes, size_t n);
/* Checks size and digest and puts it in place. CORRUPT: wrong content; its bytes are gone then. */
fallible blob_end(struct blob *b);
/* Tells from now on how far the staging file may be read; borrowed, as long as the blob lasts. follow_all() is said
 * when size and digest are right, before the blob is on disk; follow_end() is the caller's. */
fallible blob_follow(struct blob *b, struct follow *f);
/* Lets go; what was added stays in staging for the next writer, until layout_sweep_staging() or blob_discard(). */
void blob_free(struct blob *b);
OWN_TYPE(blob, struct blob *, blob_free)
/* Removes the staged bytes too. */
void blob_discard(struct blob *take_b);

/* A blob of which nothing is known yet: what is added makes its digest and size. blob_end() puts it in place, or drops
 * it when the store has it already. blob_digest() answers after that; borrowed. blob_restart() is not for it. */
fallible blob_begin_new(struct layout *l, struct blob **ret);
const char *blob_digest(const struct blob *b);

/* A whole small blob from memory. */
fallible blob_put(struct layout *l, const void *bytes, size_t n, char **ret_digest);

#endif
