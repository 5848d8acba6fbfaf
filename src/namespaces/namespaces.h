/*
 * namespaces.h: a container's namespaces: which are made, which are joined, and how a process gets into them.
 *
 * Source: runtime-spec config-linux.md, "Namespaces"; namespaces(7), ioctl_ns(2), user_namespaces(7).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NAMESPACES_NAMESPACES_H
#define HUSK_NAMESPACES_NAMESPACES_H

#include <stdint.h>
#include <stdio.h>

#include "os/ids.h"
#include "spec/oci_runtime.h"

enum { NAMESPACE_KINDS = 8 };

struct namespaces {
    uint64_t create; /* CLONE_NEW* for clone3(2); cgroup and time namespaces are not among them */
    bool create_cgroup, create_time;
    uint64_t join;                 /* CLONE_NEW* of those that are joined; never the mount namespace */
    int join_fds[NAMESPACE_KINDS]; /* in the order of the table in namespaces.c; -1: not joined. Owned. */
    struct id_map uids, gids;      /* of a new user namespace */
    int parent_user_fd;            /* in which the new user namespace is made; -1: in ours. Borrowed */
    /* The mount namespace is another's: the caller's (no entry in the list) or one named by path. The container is made
     * in one of its own all the same, and goes over with a root that is mounted nowhere: rootfs_change_root(). */
    bool shares_mounts;
    int mounts_fd; /* that namespace, else -1. Owned. */
};
/**
 * namespaces_plan - read the list and open what is to be joined.
 * Errors: INVALID for a path that is no namespace or one of another type, for a user namespace without maps and for
 * maps without one; for a host name without a uts namespace; UNSUPPORTED for a new user
 * namespace with a shared mount namespace.
 */
fallible namespaces_plan(const struct oci_spec *spec, struct namespaces *ret);
void namespaces_clear(struct namespaces *ns);
static inline void own_drop_namespaces(struct namespaces *ns)
{
    namespaces_clear(ns);
}
/* What is joined for a type ("network"), or -1. Borrowed. */
int namespaces_join_fd(const struct namespaces *ns, const char *type);
/* New or joined. */
bool namespaces_has(const struct namespaces *ns, uint64_t clone_flag);

/**
 * namespaces_clone - the container's first process, a child of the caller, in the new namespaces.
 * What can only be entered before a process is made (a joined pid or user namespace) is entered by a helper process
 * that makes the child in the caller's name (CLONE_PARENT) and ends. As for proc_clone().
 */
fallible namespaces_clone(const struct namespaces *ns, uint64_t more_flags, int cgroup_fd, pid_t *ret_pid,
                          int *ret_pidfd);
/* In the child: enters what namespaces_clone() has not. */
fallible namespaces_join(const struct namespaces *ns);
bool namespaces_join_needed(const struct namespaces *ns);
/* In the child: root of its user namespace, with no other group, or with all of the caller's. */
enum namespaces_groups { GROUPS_DROP, GROUPS_KEEP };
fallible namespaces_become_root(const struct namespaces *ns, enum namespaces_groups groups);
/* In the child: a time namespace with the spec's offsets; the process itself enters. */
fallible namespaces_make_time(const struct oci_spec *spec);
fallible namespaces_make_cgroup(void);
fallible namespaces_set_names(const struct oci_spec *spec);
/* lo is there in a new network namespace, but down. Source: netdevice(7). */
fallible namespaces_loopback_up(void);
/* The same in two halves: a socket of the caller's network namespace, through which another process can reach it. Who
 * brings lo up needs CAP_NET_ADMIN in the user namespace that owns the socket's network namespace, not to be in it. The
 * kernel lets one at a time change a network device: it may wait. */
fallible namespaces_open_network(int *ret_sock);
fallible namespaces_loopback_up_by(int sock);

/* "--mount --pid ..." as unshare(1) takes them; adds nothing for joined ones. */
void namespaces_unshare_words(const struct namespaces *ns, struct str *out);
/* The directory entry under /proc/PID/ns for a type of config.json ("mount" -> "mnt"), or NULL. */
const char *namespace_file(const char *type);
/* Type words of config.json, NULL-terminated. */
const char *const *namespace_types(void);

#endif
