/*
 * steps.h: starting something is a table of steps that two processes walk in lockstep.
 *
 * The parent runs rows until the clone row makes the child; from there each row belongs to one side and the other
 * waits for it. Messages cross one SOCK_SEQPACKET pair only where the side changes, so a run of rows on one side costs
 * no switch. A failure crosses as a whole error with the step's name in front; a peer that dies without a word is
 * UNAVAILABLE, never silence taken for success. Both sides write when each row began and ended into a page that they
 * share, so even a killed side shows how far it came.
 *
 * A row's name is a phrase that completes "cannot ...": "mount the root file system".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_STEPS_H
#define HUSK_OS_STEPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum side { SIDE_PARENT, SIDE_CHILD, SIDE_CLONE };

struct step {
    const char *name;
    enum side side;
    err *(*run)(void *ctx);
    /* Whether this start has the row at all; NULL: always. Both sides must come to the same answer. */
    bool (*needed)(const void *ctx);
    /* Writes the shell command(s) that do the same, for `husk explain`; NULL: nothing to show. */
    void (*explain)(const void *ctx, FILE *out);
};

enum { STEPS_MAX = 64 };

/* When each row ran: CLOCK_MONOTONIC nanoseconds, 0 when it did not. Lives in shared memory during the run. */
struct steps_times {
    uint64_t begin_ns[STEPS_MAX];
    uint64_t end_ns[STEPS_MAX];
};

/*
 * What a SIDE_CLONE row calls proc_clone() through: it must end with steps_cloned(), telling the table which side
 * this process is now. In the child, the child's rows run and the process ends there: the last row execs, or fails.
 */
struct steps_run {
    const struct step *rows;
    size_t n;
    void *ctx;
    /* What the child hands over from beyond the table (MESSAGE_FD): called with ctx; may be NULL, then it is closed. */
    err *(*take_fd)(void *ctx, int take_fd);
    /* What the parent does meanwhile for a row of the child's that asks: called with ctx and what steps_ask() sent. */
    err *(*serve)(void *ctx, int take_fd);
    /* For fault tests: HUSK_FAULT="kill-parent@ROW" or "kill-child@ROW" (a row's number or name) kills that side after
     * the row. Read once, only in test builds (-Dfault_injection=true). */

    /* out */
    pid_t pid; /* of the child; 0: in the child */
    int pidfd;
    int sock;                  /* this side's end */
    int child_sock;            /* the child's end, in the child after exec: its number */
    bool answered;             /* in the child: what it asked for last is done */
    struct steps_times *times; /* mmap'd shared; steps_end() unmaps */
};

/**
 * steps_walk - run the table. Called by the parent; returns only in the parent.
 * After the last row the child must either close its end by a close-on-exec exec (success), or have sent an error.
 * On any error the child has been killed and reaped, and the error names the row.
 */
fallible steps_walk(struct steps_run *run);
/* Called by the SIDE_CLONE row with proc_clone()'s answers. */
void steps_cloned(struct steps_run *run, pid_t pid, int pidfd);
/* In a row of the child's: has the parent do what may take long, while the rows go on. The parent does it when it next
 * waits for the child; a failure there ends the start with its error. One thing at a time. */
fallible steps_ask(struct steps_run *run, int fd);
/* In a later row: waits until it is done. */
fallible steps_answer(struct steps_run *run);
/* The child's word to the parent from beyond the table: the stub's errors. Also used by row code that must report
 * early. */
void steps_send_error(int sock, const err *e);
/* Waits for the child's last word: NULL at end of file or on a ready byte, its error otherwise. take_fd: as in struct
 * steps_run. */
fallible steps_wait(int sock, err *(*take_fd)(void *ctx, int take_fd), void *ctx);
/* What the stub wrote into a page before it ended: see process/order.h. NULL: nothing, since its exec succeeded. */
fallible steps_last_words(int page_fd);
void steps_end(struct steps_run *run);

#endif
