/*
 * resctrl.h: shares of caches and memory bandwidth (linux.intelRdt): the container's process goes into a group of the
 * resctrl file system, with a monitoring group of its own when asked.
 *
 * The directory of that file system is a parameter: tests give one of their own. Source: runtime-spec config-linux.md,
 * "IntelRdt"; Documentation/filesystems/resctrl.rst.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CGROUP_RESCTRL_H
#define HUSK_CGROUP_RESCTRL_H

#include <sys/types.h>

#include "codec/bind.h"

struct resctrl {
    const json_t *config; /* linux.intelRdt; borrowed */
    char *group;          /* below the file system; "." is the default group */
    char *monitor;        /* "GROUP/mon_groups/ID", or NULL */
    bool own_group;       /* named after the container: made here, and removed with it */
};
void resctrl_clear(struct resctrl *r);

/* UNSUPPORTED, with the command that cures it, where resctrl is not mounted. */
fallible resctrl_open(int *ret_root_fd);
/* INVALID for what the specification forbids. */
fallible resctrl_plan(const json_t *config, const char *id, struct resctrl *ret);
/* Directories that resctrl_make() will make and resctrl_remove() must remove, innermost first: kept in the state. */
void resctrl_dirs(const struct resctrl *r, struct strv *dirs);
/**
 * resctrl_make - the groups, their schemata, and the process in them.
 * Errors: NOT_FOUND (a closID without a schema must be there), CONFLICT (it is there with another schema), EXISTS (a
 * group with the container's name), EXHAUSTED (the hardware has no more), INVALID with the kernel's reason. What was
 * made is removed again.
 */
fallible resctrl_make(int root_fd, const struct resctrl *r, pid_t pid);
/* resctrl_change - other schemata for a group that is there, all of both or none; NULL: not this one. Errors: INVALID
 * with the kernel's reason, NOT_FOUND. */
fallible resctrl_change(int root_fd, const char *group, const char *l3, const char *mb);
/* resctrl_take - every thread of these processes that is not in the group. *ret_n: how many those were; one that had
 * made another before it was moved is why a caller looks until it is 0. */
fallible resctrl_take(int root_fd, const char *group, const pid_t *pids, size_t n, size_t *ret_n);
/* resctrl_join - the caller's own thread, and what it makes after that; a group that is gone limits nobody, and is no
 * error. monitor may be NULL. */
fallible resctrl_join(int root_fd, const char *group, const char *monitor);
/* What is not there is no error. */
fallible resctrl_remove(int root_fd, const struct strv *dirs);

#endif
