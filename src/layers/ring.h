/*
 * ring.h: buffers that one thread fills and others look at side by side, each in their order and without a copy: the
 * bytes of a layer, which one thread unpacks and parses, another hashes and a third writes.
 *
 * A buffer is filled anew when all workers are done with it. Who has no thread yet, or never gets one, loses nothing:
 * whoever fills does its work then.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_RING_H
#define HUSK_LAYERS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/own.h"
#include "os/direct.h"

enum {
    RING_SLOTS = 16,
    RING_SLOT_SIZE = 256 << 10,
    RING_ALIGN = DIRECT_ALIGN, /* of a slot in memory: a file opened with O_DIRECT takes it as it is */
    RING_WORKERS = 2,          /* at most */
    RING_BATCH = 6,            /* slots for which a worker gets up */
};

struct ring;
/* Up to RING_BATCH slots, in their order; all but the last of the stream are full. */
typedef err *ring_work(void *ctx, const struct iovec *slots, size_t n);

struct ring *ring_new(void);
void ring_free(struct ring *r);
OWN_TYPE(ring, struct ring *, ring_free)
/* Before the first slot. Answers its number. most: slots at a time. */
size_t ring_add_worker(struct ring *r, size_t most, ring_work *work, void *ctx);

/* The next one to fill, RING_SLOT_SIZE bytes; the one before stays as it is until then. Errors: a worker's. */
fallible ring_slot(struct ring *r, unsigned char **ret);
void ring_publish(struct ring *r, size_t n);
/* Nothing more comes: workers end when they are through. */
void ring_end(struct ring *r);
/* A worker's thread: until ring_end(). Errors: the work's, when ring_slot() has not told it. */
fallible ring_run(struct ring *r, size_t worker);

#endif
