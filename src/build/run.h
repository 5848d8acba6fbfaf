/*
 * run.h: RUN: a husk container over the layers so far, whose writable layer becomes the step's.
 *
 * Its network is the default one, or another of husk's, as of `husk run` (engine/network_step.h); an ordinary user's is
 * a namespace of the step's own, which pasta joins to the outside; or the host's; or none.
 *
 * It is made by runtime_create() from the same configuration, capabilities, seccomp filter and limits as `husk run`'s,
 * in the process of the step, which is root of the user's namespace where the user is an ordinary one. Its mount points
 * are made in a layer below all others, so they never are in the image. Where the kernel's overlay cannot be
 * mounted in the store (engine/storage.h) its root is a copy of the layers, and what is different afterwards is the
 * writable layer.
 *
 *   <run>/<id>/          its run-time folder, locked while the step lives; "build" in it says whose it is. One that
 *                        nobody holds is what a killed build left: build_run_sweep() and `husk system check` end it
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_RUN_H
#define HUSK_BUILD_RUN_H

#include "build/layer.h"
#include "build/mount.h"
#include "build/state.h"
#include "engine/engine.h"
#include "engine/options.h"
#include "image/settings.h"

/* What a mount's from= means, resolved by who knows the stages. */
struct run_mount {
    struct build_mount mount;
    struct strv lowers;  /* diffIDs of a stage or an image, lowest first */
    bool context;        /* from a context: */
    bool may_be_missing; /* its source: then it is an empty directory */
    const char *tree;    /* its absolute path; borrowed */
    const struct ignore *ignore;
    const char *socket;                /* ssh: the agent's; borrowed */
    const struct build_secret *secret; /* NULL: there is none, and it is not required */
};
struct run_step {
    struct engine *engine;
    const char *dir;           /* absolute: has upper/ and work/; more is made in it */
    const struct strv *layers; /* diffIDs, lowest first */
    struct strv argv, env;     /* env: complete, but for PATH and HOME */
    const char *user, *workdir;
    const struct create_options *options; /* the user's: limits, hosts, rights; borrowed */
    const char *network;                  /* "none", "host", or a network's name: "bridge" is the default */
    bool ordinary;                        /* an ordinary user's: the default network is pasta's */
    bool insecure;
    struct run_mount *mounts;
    size_t mounts_n;
    const char *hostname;         /* NULL: "husk-build" */
    const char *cache_ns;         /* in front of the names of cache mounts; NULL: nothing */
    char *script, *script_target; /* a file that is bound where its command looks for it; NULL: none. Owned */
    int out_fd;                   /* stdout and stderr */
    bool stdin_too;               /* it has our standard input */
    enum settings_driver storage; /* how its root is made: engine/storage.h */
};
/* What the options say of each step's container, before there is one. INVALID, UNSUPPORTED. */
fallible build_run_check(const struct create_options *options);
/* Runs it to its end. *ret_code: 0..255. Errors: EXEC_MISSING ...; CANCELLED: we were told to end. */
fallible build_run(const struct run_step *s, int *ret_code);
/* Ends and removes what killed builds left running. */
fallible build_run_sweep(struct engine *e);

/* Mounts a stage's layers read-only, or with what is written thrown away, for whoever reads them: a directory. dir:
 * absolute, exists. Within a mount namespace of ours. */
fallible build_mount_layers(struct engine *e, const struct strv *diff_ids, const char *dir, bool writable, char **ret);

#endif
