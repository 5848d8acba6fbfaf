/*
 * layout.h: which control group hierarchies are mounted where, kept while the mounts are the same.
 *
 * The kernel formats the table of mounts anew for each reader (1.5 us a mount, and each hierarchy is looked at once
 * more). statx(2) and listmount(2) tell in 2 us what is mounted at /sys/fs/cgroup and below: by ids that no other mount
 * gets until the next boot. A file (".cgroups") in a directory of the caller's, on a tmpfs, has these ids and what was
 * read then; mounts elsewhere, which engines make for each container, are not its business. It is made anew, by a
 * rename, whenever the ids differ. What they do not tell (a hierarchy that is made read-only, given to another owner,
 * or mounted outside of /sys/fs/cgroup) makes a group's making fail: then cgroup_host_forget(), and once more.
 * Source: statx(2), listmount(2), Linux 6.8.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CGROUP_LAYOUT_H
#define HUSK_CGROUP_LAYOUT_H

#include "cgroup/group.h"

#define LAYOUT_FILE ".cgroups"

enum { LAYOUT_MOUNTS_MAX = 64 };

struct layout_mounts {
    uint64_t ids[LAYOUT_MOUNTS_MAX]; /* of what is at /sys/fs/cgroup, and of all below */
    size_t n;                        /* 0: not known */
};

/* False where the kernel does not tell, or there are too many. */
bool layout_mounts(struct layout_mounts *ret);
/* For root alone, who may write at the top: others' own groups are looked for by more than what is kept.
 * Adds the hierarchies that were kept for the same mounts to h; false, and nothing added, when there are none, or the
 * file is another user's, not on a tmpfs, or damaged. */
bool layout_find(const char *dir, const struct layout_mounts *m, struct cgroup_host *h);
/* Nothing where one of them is mounted elsewhere. Without an error: it is only kept to be faster. */
void layout_keep(const char *dir, const struct layout_mounts *m, const struct cgroup_host *h);

#endif
