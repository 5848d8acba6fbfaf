/*
 * cgroup.h: a container's control group on v1, v2 and hybrid hosts, as one thing.
 *
 * One table of limits has a row per limit with its file on v1 and on v2; the host decides which half is used, per
 * controller: on a hybrid host limits go to v1 and freeze, kill and events to v2. A limit that the host cannot enforce
 * is an error that names the cause and the cure. Source: cgroups(7), Documentation/admin-guide/cgroup-v{1,2}.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CGROUP_CGROUP_H
#define HUSK_CGROUP_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "spec/oci_runtime.h"

/* What this host has; read once from /proc/self/mountinfo and /proc/self/cgroup. */
struct cgroup_host;
fallible cgroup_host_open(struct cgroup_host **ret);
/* The same for who asks often: what the mounts say is kept in dir, which is the caller's own, while they are the same
 * (layout.h); NULL: nowhere. Where a group could not be made of what was kept, cgroup_host_forget() and ask again. */
fallible cgroup_host_open_near(const char *dir, struct cgroup_host **ret);
void cgroup_host_forget(const char *dir);
bool cgroup_host_kept(const struct cgroup_host *h);
void cgroup_host_free(struct cgroup_host *h);
OWN_TYPE(cgroup_host, struct cgroup_host *, cgroup_host_free)
/* "v1", "v2" or "hybrid" */
const char *cgroup_host_mode(const struct cgroup_host *h);
/* May this process make child cgroups there at all? False for an ordinary user without delegation: then a container
 * runs without a cgroup unless a limit was asked for. *ret_why (borrowed) is the cure in one sentence. */
bool cgroup_host_usable(const struct cgroup_host *h, const char **ret_why);

/* Whether device rules could be kept: by v1's controller or v2's programs, in a hierarchy that this process may write.
 */
bool cgroup_host_has_devices(const struct cgroup_host *h);

/* Groups made from now on are read by others, who look for v1's files where there are any: containerd, dockerd and
 * podman take a container's CPU time and I/O from the cpuacct and blkio groups that its process is in, and would take
 * the whole host's for it if it stayed in theirs. */
void cgroup_host_for_v1_readers(struct cgroup_host *h);
/* Groups made from now on are of a command that waits for its container: on a hybrid host one without a limit of its
 * CPU time has no cpu group then, and competes as that command does. */
void cgroup_host_for_foreground(struct cgroup_host *h);
/* Groups made from now on are divided by what runs in them: they are made in every hierarchy that there is. */
void cgroup_host_for_divisions(struct cgroup_host *h);

/* Where a relative path starts: "/" for root; for an ordinary user the group that this process is in (delegated). */
const char *cgroup_host_base(const struct cgroup_host *h);

struct cgroup;
/**
 * cgroup_create - make the container's group in every hierarchy that is used and write its limits.
 * @path:      absolute within the hierarchies ("/husk/ID"), or relative to cgroup_host_base() ("husk/ID"); no "." or
 *             ".." or empty parts; what of it is missing is made. cgroup_path() is absolute: keep that one.
 *             A group that exists with processes in it is CONFLICT; an empty one is made anew (see the kill trap in
 *             cgroup.c).
 * @resources: NULL: none. Limits that the host lacks: UNSUPPORTED, and everything made is removed again. Device rules
 *             are the host root's alone; for an ordinary user they are left out, as the kernel's own rules forbid more.
 * The group does not borrow from the host.
 */
fallible cgroup_create(const struct cgroup_host *h, const char *path, const struct oci_resources *resources,
                       struct cgroup **ret);
/* The same for a group that systemd made: it stays as it is, what its hierarchies lack is made beside it. */
fallible cgroup_adopt(const struct cgroup_host *h, const char *path, const struct oci_resources *resources,
                      struct cgroup **ret);
/* For a group that was given to this user elsewhere than above our own: the hierarchies in which it can be written. */
void cgroup_host_use(struct cgroup_host *h, const char *path);
/* The same object for a group that exists (another process made it). */
fallible cgroup_open(const struct cgroup_host *h, const char *path, struct cgroup **ret);
/* The same, wherever it was given to us: of a container that is there already. */
fallible cgroup_find(const char *path, struct cgroup **ret);
/**
 * cgroup_descend - make *g stand for a group below it that exists, for a process that is to start there.
 * @controller: of the hierarchies with it alone ("memory", "name=systemd", "" for v2); NULL: of all that have such a
 *              group.
 * @below:      "jobs/1", "/jobs/1"; "/" is the group itself. NOT_FOUND when no hierarchy has it; INVALID for "..".
 */
fallible cgroup_descend(struct cgroup *g, const char *controller, const char *below);
/* A group as text for another process on this host, which need not ask mountinfo and each hierarchy again. INVALID for
 * what is no such text. Caller frees. */
char *cgroup_text(const struct cgroup *g);
fallible cgroup_of_text(const char *text, struct cgroup **ret);
/* Whether it is frozen, in three system calls: a list asks it of each container. False: it is no group of v2's, or has
 * gone; whoever wants to know opens it then. */
bool cgroup_text_frozen(const char *text, bool *ret);
/* Whether it exists in any hierarchy. */
bool cgroup_there(const struct cgroup *g);
void cgroup_free(struct cgroup *g);
OWN_TYPE(cgroup, struct cgroup *, cgroup_free)
const char *cgroup_path(const struct cgroup *g);
/* On a host with v2 alone. */
bool cgroup_is_v2(const struct cgroup *g);

/*
 * How a child gets in, at the lowest cost: v2 by CLONE_INTO_CGROUP with the descriptor below, v1 by writing "0" to
 * each `tasks` file itself (cgroup.procs would wait 9 to 12 ms for an RCU grace period on an idle machine).
 */
/* Descriptor of the v2 directory for clone3(2), or -1 when there is no v2 hierarchy. Borrowed.
 *
 * The kill trap: on some kernels (6.18; not 6.1) clone3() succeeds but the child is born killed when the number of
 * writes to cgroup.kill ever made differs between the caller's own group and the target. A group of ours is always
 * fresh, so this happens only to a caller whose own group was killed once and lived on. Whoever clones into it must
 * therefore take a child that is dead by SIGKILL before its first word for this, clone again without the flag, and
 * call cgroup_add(). */
int cgroup_clone_fd(const struct cgroup *g);
/* Opens the v1 `tasks` files for writing, in the parent (the kernel checks the opener's rights). Close-on-exec. */
fallible cgroup_open_tasks(const struct cgroup *g, int **ret_fds, size_t *ret_n);
/* Called in the child: write "0" to each. The v2 part is clone3's. */
fallible cgroup_join_self(const int *tasks_fds, size_t n);
/* Moves another process in by cgroup.procs, all hierarchies: for the fallback and for joins from outside. */
fallible cgroup_add(const struct cgroup *g, pid_t pid);

/*
 * Where the group is, hierarchy by hierarchy: for the container's own /sys/fs/cgroup. name: the directory below the
 * host's /sys/fs/cgroup ("memory", "cpu,cpuacct", "systemd", "unified"); "" on a host with v2 only. dir: the host's
 * directory of this group. Both borrowed from *g. False when i is beyond the last.
 */
bool cgroup_dir(const struct cgroup *g, size_t i, const char **ret_name, const char **ret_dir, bool *ret_v2);

/* Changes limits of a live group; only what is set. */
fallible cgroup_update(const struct cgroup *g, const struct oci_resources *resources);
enum cgroup_freeze { CGROUP_THAW, CGROUP_FREEZE };
fallible cgroup_freeze(const struct cgroup *g, enum cgroup_freeze how);
/* Whether it is frozen now: v2 cgroup.events, else v1 freezer.state. */
fallible cgroup_frozen(const struct cgroup *g, bool *ret);
/* Kills everything in it: cgroup.kill where there is v2, else thaw and signal until it is empty. */
fallible cgroup_kill(const struct cgroup *g);
/* Thaws what is frozen in v1's freezer, in it and below, by whomever: for who was sent SIGKILL to end. */
void cgroup_thaw_v1(const struct cgroup *g);
/* All pids in it and below. Caller frees. */
fallible cgroup_pids(const struct cgroup *g, pid_t **ret, size_t *ret_n);
/* Removes the group and what the payload made below it, in every hierarchy in which it is not known to be missing: one
 * that this cgroup has made, or found. A directory that is not there costs its parent's lock, which every start and end
 * takes. Not there is no error. */
fallible cgroup_remove(const struct cgroup *g);
/* Another process may have made more of it since (an update, a pause). */
void cgroup_forget(struct cgroup *g);
bool cgroup_oom_killed(const struct cgroup *g);

/* What its limits did in its life, for who wants to know why it ended. */
struct cgroup_hits {
    bool oom_killed;     /* a process of it was killed for want of memory */
    bool memory_limited; /* its own limit was reached, not just the host's or a parent's memory */
    struct opt_i64 memory_limit_bytes;
    struct opt_u64 memory_peak_bytes;
    struct opt_i64 pids_limit;
    uint64_t pids_refused; /* forks that the limit forbade */
};
void cgroup_hits(const struct cgroup *g, struct cgroup_hits *ret);

struct cgroup_stats {
    struct opt_u64 cpu_usage_ns, cpu_user_ns, cpu_system_ns, memory_bytes, memory_peak_bytes,
        memory_inactive_file_bytes /* docker's usage is without it */, pids, io_read_bytes, io_write_bytes;
    struct opt_i64 memory_limit_bytes, pids_limit; /* its own; not set: none */
    struct opt_i64 memory_bound_bytes;             /* the smallest limit of it and of the groups that it is in */
};
fallible cgroup_stats(const struct cgroup *g, struct cgroup_stats *ret);

/* The command(s) that do the same as cgroup_create with these resources, for `husk explain`. */
void cgroup_explain(const struct cgroup_host *h, const char *path, const struct oci_resources *resources, FILE *out);

#endif
