/*
 * batch.h: files of a walk, gathered and worked on side by side: hashing a context and copying out of it are many small
 * system calls that do not wait for each other. A directory's files stay together, so that two threads seldom meet at
 * the lock of one directory.
 *
 * The threads live no longer than batch_run(): between batches the process may fork.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_BATCH_H
#define HUSK_BUILD_BATCH_H

#include "build/source.h"

struct batch_item {
    struct source_entry entry; /* the batch's own: names are copies, dir_fd a duplicate, or -1 for what is no file */
    char *dest;                /* whatever the caller gave; freed with the batch */
    unsigned char hash[32];    /* for the caller's work to fill */
    void *made;                /* the same, what it allocates; freed with the batch */
    bool work;                 /* this one is worked on; others only keep their place */
    int kind;                  /* the caller's: by batch_last() */
};
/* Works on one item. May run in any thread, beside others of the batch. buffer: BATCH_BUFFER bytes of the thread's. */
enum { BATCH_BUFFER = 256 << 10 };
/* What work keeps in item->made of a file smaller than this is counted: a batch has not more than some 16 MiB of it. */
enum { BATCH_SMALL = 64 << 10 };
typedef err *batch_work(void *ctx, struct batch_item *item, unsigned char *buffer);
/* After all of them, in the order in which they were added. */
typedef err *batch_after(void *ctx, struct batch_item *item);

struct batch;
/* after may be NULL. */
struct batch *batch_new(batch_work *work, batch_after *after, void *ctx);
void batch_free(struct batch *b);
OWN_TYPE(batch, struct batch *, batch_free)
/**
 * batch_add - one more; a batch that is full is run at once.
 * @e: borrowed. @take_dest: may be NULL. @work: false: it only waits for its turn with batch_after.
 */
fallible batch_add(struct batch *b, const struct source_entry *e, char *take_dest, bool work);
/* The one that was added last; the caller may write into its hash and kind. */
struct batch_item *batch_last(struct batch *b);
/* All that were added. Errors: the first that happened; the batch is empty then too. */
fallible batch_run(struct batch *b);

#endif
