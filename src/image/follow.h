/*
 * follow.h: a blob is read while it still arrives. One thread fills the blob (blob.h, which says how far its file is
 * good to read), another reads behind it; the file is the buffer between the two, so neither holds the other up for
 * long.
 *
 * What is read is not verified yet: whoever makes something of it asks follow_settled() before he shows it to anybody.
 * Where the sender began again, the reader is told so by an error and follow_again(), and starts over.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_FOLLOW_H
#define HUSK_IMAGE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "codec/stream.h"

struct follow;
struct follow *follow_new(void);
void follow_free(struct follow *f);
OWN_TYPE(follow, struct follow *, follow_free)

/* ---- of who fills it ---- */

/* A file that has so many bytes by now; what was read of an earlier one does not count any more. */
void follow_begin(struct follow *f, int take_fd, int64_t bytes);
void follow_grew(struct follow *f, int64_t bytes); /* in all */
void follow_restarted(struct follow *f);           /* the file is empty again */
void follow_all(struct follow *f);                 /* no more will come, and the digest of what is there is right */
/* No more attempts. @whole: the blob is in the store. */
void follow_end(struct follow *f, bool whole);

/* ---- of who reads ---- */

/* From the first byte on. Waits for what is not there yet; its end is the blob's. CANCELLED: the sender began again, or
 * has given up. */
struct stream_source follow_source(struct follow *f);
/* Would a read have to wait for the sender? */
bool follow_caught_up(struct follow *f);
/* Waits until the blob that was read is in the store. CANCELLED as above. */
fallible follow_settled(struct follow *f);
/* After an error: waits until it is clear whether the bytes that were read were the blob's. True: they were not, and
 * there are others to be had by another follow_source(). */
bool follow_again(struct follow *f);

#endif
