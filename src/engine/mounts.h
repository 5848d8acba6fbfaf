/*
 * mounts.h: where `husk image mount` and `husk mount` mount: <run>/mounts/NS/NAME, NS being the number of the caller's
 * mount namespace: what one `husk unshare` has mounted is none of another's business, and removing a folder would take
 * the mount on it away in every other namespace (rmdir(2) since Linux 3.18).
 *
 * A namespace that ended leaves its folders, empty. Each command here sweeps those, and `husk system check --repair`.
 * Whether one has ended is asked of /proc: is any process in it? One that may not be looked at is taken for one that
 * is.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_MOUNTS_H
#define HUSK_ENGINE_MOUNTS_H

#include "engine/engine.h"

/* Caller frees. */
char *mounts_path(const struct engine *e, const char *name);
/* Is something mounted there, in this mount namespace? Asked of the kernel's own list. */
bool mounts_has(const char *path);
/* Names of what is mounted in this namespace that begin so; without the prefix. */
fallible mounts_list(const struct engine *e, const char *prefix, struct strv *ret_names);
/* A detached mount gets its place; the folder is made. */
fallible mounts_place(const struct engine *e, const char *path, int mount);
fallible mounts_remove(const struct engine *e, const char *path);
/* Is it mounted by a living namespace other than ours? */
bool mounts_elsewhere(const struct engine *e, const char *name);
/* DENIED for an ordinary user outside `husk unshare`. */
fallible mounts_may(void);

enum mounts_how { MOUNTS_LOOK, MOUNTS_SWEEP };
/* How many folders are of nobody; with SWEEP they are removed. */
size_t mounts_sweep(const struct engine *e, enum mounts_how how);

#endif
