/*
 * pid1.h: being PID 1 for a program that was not written to be: start it as a child, pass signals on, reap orphans,
 * end with its status. Works the same when it is not PID 1 (then as a subreaper).
 *
 * Nothing is allocated and nothing is forked after the program runs, so a container at its process limit keeps its
 * init. Source: signal(7), pid_namespaces(7); duties as tini's and catatonit's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_INIT_PID1_H
#define HUSK_INIT_PID1_H

#include "init/sys.h"

struct pid1 {
    void (*spawn)(void *ctx);   /* in the child: exec; does not come back */
    void (*spawned)(void *ctx); /* in the parent, before anything else; NULL: nothing */
    void *ctx;
    bool pause;                /* no program: end with 0 on TERM or INT, reap until then */
    bool whole_group;          /* signals go to the program's process group */
    bool warn_reap;            /* say so when an orphan is reaped */
    int verbosity;             /* 0: nothing, 1: warnings, up to 4: see speak.h */
    const char *name;          /* the program's, for what is said */
    int parent_death_signal;   /* 0: none */
    uint64_t zero_statuses[4]; /* a bit per exit status that becomes 0 */
};

/* What a pid1 is before options and variables are looked at. */
#define PID1_VERBOSITY 1
/* tini's variables: TINI_VERBOSITY=N, TINI_KILL_PROCESS_GROUP and TINI_SUBREAPER with any value. The last asks for what
 * is so anyway. */
void pid1_variables(struct pid1 *p, char *const *envp);

_Noreturn void pid1_run(struct pid1 *p);

#endif
