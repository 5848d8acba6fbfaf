/*
 * checkpoint.h: a running container's processes as files, and a start that lets them go on (CRIU, by runtime.h).
 *
 *   <root>/containers/ID/checkpoints/NAME/    CRIU's images; there when they are whole
 *   <root>/containers/ID/checkpoints/.new     one that is being written, or was when husk was killed
 *
 * They go and come with the container's folder: rm, the trash, undo. What a start makes anew is not in them: the
 * writable layer stays where it is, the network is connected again, the output goes to the new monitor.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CHECKPOINT_H
#define HUSK_ENGINE_CHECKPOINT_H

#include "engine/container.h"

#define CHECKPOINT_DEFAULT "latest"  /* the name of one that was given none */
#define CHECKPOINT_BEFORE  ".before" /* of memory alone: checkpoint_options.pre_dump; not listed */

struct checkpoint_options {
    const char *name; /* NULL: CHECKPOINT_DEFAULT, which takes the place of the one before */
    const char *dir;  /* where checkpoints are; NULL: in the container's folder */
    bool leave_running, tcp_established, file_locks, tcp_close;
    bool pre_dump;      /* memory alone, under CHECKPOINT_BEFORE; the container goes on */
    bool with_previous; /* what is as it was at that one is not written again */
    bool keep;          /* of a restore: the checkpoint stays; of a checkpoint: CRIU's log does */
};
/* CRIU's own account, where it wrote one. */
struct checkpoint_stats {
    int64_t whole_us;                                                                      /* of husk's call */
    int64_t freezing_us, frozen_us, memdump_us, memwrite_us, pages_scanned, pages_written; /* a checkpoint's */
    int64_t forking_us, restore_us, pages_restored;                                        /* a restore's */
};

/**
 * container_checkpoint - write it down; it ends, unless it is left running.
 * Errors: CONFLICT when it does not run; EXISTS (the name); UNSUPPORTED with what CRIU cannot do; DENIED for an
 * ordinary user; NOT_FOUND without a criu; UNAVAILABLE with CRIU's words. After an error it runs on as before.
 */
fallible container_checkpoint(struct container *c, const struct checkpoint_options *o, struct checkpoint_stats *ret);
/* container_start() from a checkpoint. NOT_FOUND (the checkpoint); CONFLICT when it runs. The checkpoint stays. */
fallible container_restore(struct container *c, const struct checkpoint_options *o, int *ret_sock,
                           struct checkpoint_stats *ret);
/* The names, sorted; of a container without any there are none. */
fallible checkpoint_list(const struct container *c, const char *dir, struct strv *ret);
/* NOT_FOUND. */
fallible checkpoint_remove(struct container *c, const char *dir, const char *name);
/* With the container. Caller frees. */
char *checkpoint_path(const struct container *c, const char *name);
bool checkpoint_exists(const struct container *c, const char *dir, const char *name);

#endif
