/*
 * start.h: what the rows of the start table share. Of this chapter only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_RUNTIME_START_H
#define HUSK_RUNTIME_START_H

#include "cgroup/cgroup.h"
#include "cgroup/resctrl.h"
#include "cgroup/scope.h"
#include "namespaces/namespaces.h"
#include "namespaces/netdev.h"
#include "process/program.h"
#include "rootfs/rootfs.h"
#include "runtime/runtime.h"

#define START_SOCKET "start.sock" /* in state_dir; there while the program waits for its start */
#define STATE_FILE   "state.json"
#define LOCK_FILE    "lock"

struct start {
    const struct runtime_create *c;
    bool privileged;  /* we are root over what the container may not reach by itself */
    bool in_userns;   /* we are in a user namespace ourselves */
    bool own_userns;  /* and the container has one of its own */
    bool into_cgroup; /* clone3 puts the child into its v2 group */
    int dir_fd;       /* state_dir */
    struct namespaces ns;
    struct rootfs root;
    struct rootfs_cgroup *views;
    size_t views_n;
    struct cgroup_host *host;
    struct oci_resources resources; /* the specification's, with the default devices; borrowed but for the list */
    struct cgroup *cgroup;
    char *cgroup_path;       /* absolute; NULL: none */
    struct scope_plan scope; /* unit NULL: husk makes the group itself */
    struct scope_hold hold;
    int *tasks;
    size_t tasks_n;
    struct program program;
    int order_fd, stub_fd, listen_fd, hook_state_fd;
    int netns_fd;        /* the container's, where it is to be connected */
    int mounts_pair[2];  /* prepared mounts: parent to child */
    int console_pair[2]; /* the terminal's master: child to parent */
    struct runtime_state state;
    int listener_sock; /* to the seccomp agent */
    struct netdevs netdevs;
    struct resctrl resctrl;
    int resctrl_fd; /* the mounted file system, when asked for */
    bool resctrl_made;
    bool script; /* explain for the script: its own writable layer in $work */
    struct steps_run run;
    uint64_t before_clone_ns, after_clone_ns; /* proc_clock_ns() */
};

/* What the maker of a container knows when it ends. */
struct runtime_live {
    int dir_fd;
    struct cgroup *cgroup;
    struct runtime_state state;
};
void runtime_live_free(struct runtime_live *l);
/* Kills whatever is in the group until it can be removed. */
fallible state_remove_group(struct cgroup *g);
/* Kills what is left, removes the group, runs poststop, removes the state. */
fallible state_remove(int dir_fd, struct runtime_state *s, struct cgroup *g);

/* plan.c: a start without making anything: for the start itself and for explain. start_clear() in any case. */
fallible start_plan(struct start *s, const struct runtime_create *c);
void start_clear(struct start *s);
/* Where the folders of containers are, this one's among them; NULL: a plan without one. Caller frees. */
char *start_root(const struct runtime_create *c);
/* The group of a plan that has one: systemd's scope, held until hold is cleared, or a group of husk's own. */
fallible start_make_group(struct start *s);
/* rows.c: whether a row that runs hooks has begun. */
bool start_hooks_began(const struct start *s);

fallible state_write(int dir_fd, const struct runtime_state *s);
fallible state_open(const char *state_dir, struct runtime_state **ret, int *ret_dir_fd);
/* Verbs that change the container take its lock, and look at the state after that. */
fallible state_open_locked(const char *state_dir, struct runtime_state **ret, int *ret_dir_fd, int *ret_lock_fd);
/* And its group, or NULL when it has none: looking for it once is enough; and when ret_pidfd is not NULL its first
 * process, or -1: of a container that is running, created or paused it is that process and no other. */
fallible state_open_group(const char *state_dir, struct runtime_state **ret, int *ret_dir_fd, struct cgroup **ret_g,
                          int *ret_pidfd);
/* The container's group as another process made it; *ret NULL when it has none. */
fallible state_cgroup(const struct runtime_state *s, struct cgroup **ret);
void state_clear(struct runtime_state *s);
/* runtime_update_rdt() with the mounted file system, or a test's directory, given. */
fallible state_update_rdt(int resctrl_fd, const char *state_dir, const struct runtime_rdt *rdt);
enum scope_manager state_manager(const struct runtime_state *s);
/* Whether a child can be cloned right into the group: not by a user in a login session into what his systemd has. */
bool state_clones_into(const struct runtime_state *s);
/* Where the container's first process is now, below the container's own group: "/init.scope". NULL: in that itself, or
 * elsewhere. Caller frees. */
char *state_group_of_init(const struct runtime_state *s, const struct cgroup *g);
/* Moves a process into the container's group, through systemd where only that may: then, if g is not one below it, to
 * where the first process is. */
fallible state_join(const struct runtime_state *s, const struct cgroup *g, pid_t pid);

/* The state as the specification has it; caller drops. */
json_t *state_json(const struct runtime_state *s);

/* notify.c: the listener of a filter with SCMP_ACT_NOTIFY goes to an agent of the user's. */
bool notify_wanted(const struct oci_seccomp *seccomp);
/* Before anything is made: an agent that is not there ends the start here. */
fallible notify_connect(const char *path, int *ret_sock);
/* The container process state and the listener, once; closes both. pid: of the process that has the filter. */
fallible notify_send(int *sock, const struct runtime_state *state, const char *metadata, pid_t pid, int take_listener);

/* Runs hooks one after the other; the state goes to their standard input. Errors: the first failure, with its name. */
fallible hooks_run(const char *stage, const struct oci_hook *hooks, size_t n, const struct runtime_state *state);
/* poststop: each of them, whatever the one before did; a failure is a warning. */
void hooks_run_poststop(const struct runtime_state *state);

/* explain.c, explain_mounts.c: what a row does, as shell commands. */
void explain_word(FILE *out, const char *text);    /* as bash reads it back */
void explain_in_root(FILE *out, const char *path); /* a path below "$root" */
void explain_cgroup(const void *ctx, FILE *out);
void explain_clone(const void *ctx, FILE *out);
void explain_maps(const void *ctx, FILE *out);
void explain_join_cgroup(const void *ctx, FILE *out);
void explain_join(const void *ctx, FILE *out);
void explain_cgroupns(const void *ctx, FILE *out);
void explain_timens(const void *ctx, FILE *out);
void explain_time_words(const struct start *s, FILE *out); /* " --monotonic N" for unshare(1) */
void explain_private(const void *ctx, FILE *out);
void explain_root(const void *ctx, FILE *out);
void explain_mounts(const void *ctx, FILE *out);
void explain_devices(const void *ctx, FILE *out);
void explain_terminal(const void *ctx, FILE *out);
void explain_netdevs(const void *ctx, FILE *out);
void explain_network(const void *ctx, FILE *out);
void explain_resctrl(const void *ctx, FILE *out);
void explain_sysctl(const void *ctx, FILE *out);
void explain_names(const void *ctx, FILE *out);
void explain_loopback(const void *ctx, FILE *out);
void explain_protect(const void *ctx, FILE *out);
void explain_pivot(const void *ctx, FILE *out);
void explain_program(const void *ctx, FILE *out);

#endif
