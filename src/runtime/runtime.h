/*
 * runtime.h: the OCI verbs. Everything that runs a container ends here: husk run, build steps, husk-oci.
 *
 * A container's runtime state is one folder (state_dir) with state.json; it lives on a tmpfs (/run/husk/ID or
 * $XDG_RUNTIME_DIR/husk/ID) and is gone after a reboot, as its processes are. In-process callers pass structs; only
 * husk-oci parses JSON. Source: runtime-spec runtime.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_RUNTIME_RUNTIME_H
#define HUSK_RUNTIME_RUNTIME_H

#include <stdio.h>

#include "network/connect.h"
#include "os/proc.h"
#include "os/steps.h"
#include "rootfs/source.h"
#include "spec/oci_runtime.h"

enum runtime_status { RUNTIME_CREATING, RUNTIME_CREATED, RUNTIME_RUNNING, RUNTIME_PAUSED, RUNTIME_STOPPED };
const char *runtime_status_word(enum runtime_status s); /* "created" ... */

/* SYSTEMD: as a transient scope; linux.cgroupsPath is then "slice:prefix:name". */
enum runtime_cgroup { RUNTIME_CGROUP_AUTO, RUNTIME_CGROUP_NONE, RUNTIME_CGROUP_SYSTEMD };

struct runtime_create {
    const char *id;
    const char *bundle;    /* absolute; for state.json and hooks; may be NULL for husk's own containers */
    const char *state_dir; /* exists, ours, without a state.json */
    const char *staging; /* a directory of ours that the new root covers in its own mount namespace; NULL: state_dir */
    const struct oci_spec *spec;
    const struct rootfs_source *root;
    const struct strv
        *pasta;        /* options of a pasta that joins its own network namespace to the outside; NULL: none does */
    const json_t *cni; /* what CNI plugins do with it (network/cni.h); NULL: nothing */
    const struct network_plan *network; /* what connects its own network namespace; NULL: nothing does */
    enum runtime_cgroup cgroup;
    bool cgroup_optional;   /* no cgroup possible here and no limit asked: go on without, as an ordinary user must */
    bool cgroup_v1_readers; /* the caller reads statistics by itself: see cgroup_host_for_v1_readers() */
    bool cgroup_foreground; /* the caller waits for the container to end: see cgroup_host_for_foreground() */
    const char *seccomp_cache_dir;
    const struct seccomp_filter *filter; /* the configuration's, compiled already and without a listener, or NULL */
    int stdio[3];                        /* become 0, 1, 2; -1: inherited as they are */
    int console_sock;    /* process.terminal: the pty master is sent over this connected socket; -1: none */
    int *ret_console_fd; /* process.terminal and no console_sock: the master is answered here */
    bool wait_for_start; /* create: the program waits for runtime_start(); else it runs at once */
    int preserve_fds;
    const int *parent_user_fd; /* a user namespace, in which the container's own is made; NULL: ours */
    /* an ordinary user's: a user namespace above the container's, whose root opens the root and what is bound, since
     * the container's own root may not, or would see them with other owners; NULL: the child opens them */
    const int *mounts_user_fd;
    bool no_pivot, no_new_keyring, init;
    bool detach_session; /* the child calls setsid() even without a terminal */
};
struct runtime_created {
    struct proc_id init;
    int pidfd;                 /* the caller closes */
    char *cgroup_path;         /* NULL: none */
    char *cgroup_text;         /* the same for cgroup_of_text(), or NULL */
    struct steps_times times;  /* when each row ran */
    int64_t started_ns;        /* CLOCK_REALTIME when the program's exec succeeded (or creation, when it waits) */
    struct runtime_live *live; /* runtime_create() only: for runtime_finish() */
};
void runtime_created_clear(struct runtime_created *c);

/**
 * runtime_create - make the container; the caller becomes the parent of its first process.
 * On any error nothing is left: no process, cgroup, mount or state. EXEC_MISSING and EXEC_DENIED when the program
 * itself cannot be run.
 */
fallible runtime_create(const struct runtime_create *c, struct runtime_created *ret);

/**
 * runtime_finish - what runtime_delete() does, by the process that made the container and has just reaped it: nothing
 * has to be looked up again, which is a tenth of a short container's cost. Clears *c.
 */
fallible runtime_finish(struct runtime_created *c);

/* state.json and what the kernel says now. */
struct runtime_state {
    char *id, *bundle, *cgroup_path;
    char *rootfs;      /* the directory, or NULL when the root is made of layers */
    char *cgroup_text; /* the group for cgroup_of_text(), so that nobody has to look at the host again; or NULL */
    char *scope;       /* systemd's unit for the control group; NULL: husk made it itself */
    bool scope_user;   /* of the user's own systemd */
    struct proc_id init;
    enum runtime_status status;
    int64_t created_ns;
    uint64_t namespaces; /* CLONE_NEW* that are the container's own or joined: what exec enters */
    uint64_t joined;     /* those among them that are others' */
    bool rootless;       /* made without root's rights */
    bool shares_mounts;  /* its mount namespace is another's: its root is not that namespace's root */
    bool starts_at_once; /* it was never to wait for runtime_start(): no need to look whether it does */
    bool no_new_keyring; /* its processes keep the session keyring of whoever starts them */
    struct strmap annotations;
    char *listener_path, *listener_metadata; /* who gets the seccomp listener at the start; NULL: nobody */
    struct strv resctrl_dirs;                /* to be removed with it, in this order */
    char *resctrl_group, *resctrl_monitor;   /* what its processes are in; NULL: none of its own */
    struct oci_hooks *hooks;                 /* poststart and poststop are still to come; NULL: none */
    json_t *rest;
};
void runtime_state_free(struct runtime_state *s);
OWN_TYPE(runtime_state, struct runtime_state *, runtime_state_free)
/* NOT_FOUND when the folder has no state.json. */
fallible runtime_state_read(const char *state_dir, struct runtime_state **ret);
/* The bundle that it was made from: nothing else is looked at. Caller frees. */
fallible runtime_bundle(const char *state_dir, char **ret);
/* The state as the specification has it, for `state` and for hooks; caller frees. */
char *runtime_state_text(const struct runtime_state *s);

fallible runtime_start(const char *state_dir);                      /* after wait_for_start */
fallible runtime_kill(const char *state_dir, int signal, bool all); /* all: every process of the cgroup */
/* All processes of the container: by its control group, or else by its pid namespace. Caller frees. */
fallible runtime_pids(const char *state_dir, pid_t **ret, size_t *ret_n);
fallible runtime_pause(const char *state_dir);
fallible runtime_resume(const char *state_dir);
/* Changes limits of a container that is not stopped; only what is set. What was written before an error stays. */
fallible runtime_update(const char *state_dir, const struct oci_resources *resources);
/* Shares of caches and memory bandwidth, by resctrl: schemata of a container that is not stopped; NULL or "": not this
 * one. A container that has no group yet gets one of its own, with all of its processes. */
struct runtime_rdt {
    const char *l3_cache_schema, *mem_bw_schema;
};
fallible runtime_update_rdt(const char *state_dir, const struct runtime_rdt *rdt);
/* Mounts into a running container, or takes what was so mounted away: spec->mounts, of whose entries a removal looks at
 * the destination alone. All or none when adding. */
enum runtime_mounts { RUNTIME_MOUNTS_ADD, RUNTIME_MOUNTS_REMOVE };
fallible runtime_mounts(const char *state_dir, const struct oci_spec *spec, enum runtime_mounts how);
/* Removes cgroup and state of a stopped container; force kills first. A missing one is an error unless force. */
fallible runtime_delete(const char *state_dir, bool force);
/* The same with force, for a container that has ended and whose control group its parent has removed. */
fallible runtime_delete_ended(const char *state_dir);

struct runtime_exec {
    const char *state_dir;
    const struct oci_process *process;
    const struct oci_seccomp *seccomp; /* the container's; NULL: none */
    const char *seccomp_cache_dir;
    const struct seccomp_filter *filter;       /* the same, compiled already; NULL: it is not */
    const json_t *personality, *memory_policy; /* the configuration's; may be NULL */
    int stdio[3];
    int console_sock;
    int *ret_console_fd;
    int preserve_fds;
    bool new_session; /* setsid(2) even without a terminal */
    /* groups below the container's, which exist: "jobs", or "memory:jobs" on v1 for some hierarchies alone */
    const struct strv *cgroups;
    bool ignore_paused; /* into a paused container too: there it starts when that is resumed */
};
/* Runs a program in the container; the caller becomes its parent (CLONE_PARENT) and waits by the pidfd. */
fallible runtime_exec(const struct runtime_exec *x, struct runtime_created *ret);

/* Checkpoint and restore by CRIU; words are runc's. */
struct runtime_criu {
    const char *program;      /* NULL: "criu" in PATH */
    int images_fd, work_fd;   /* directories */
    const char *parent;       /* of a pre-dump, relative to the images; NULL: none */
    const char *page_server;  /* "ADDRESS:PORT"; NULL: none */
    const char *cgroups_mode; /* soft (default), full, strict, ignore */
    const char *network_lock; /* nftables, iptables, skip; NULL: CRIU's own default */
    const char *lsm_profile, *lsm_mount_context;
    bool leave_running, pre_dump, tcp_established, tcp_close, ext_unix_sk, shell_job, file_locks, link_remap,
        auto_dedup, lazy_pages, empty_net;
    bool no_pivot; /* of a restore: where our root is an initial RAM disk, which pivot_root(2) refuses to leave */
    int status_fd; /* -1: none */
    /* husk's own containers: what a start makes anew is not written down. Their network namespace is made and connected
     * as c->network says, and standard streams that lead to files of the host (FIFOs of the state directory) are those
     * of the restore's c->stdio. */
    bool anew;
    /* Of a checkpoint: all is written, and nothing has ended yet; an error lets the container go on. NULL: nobody asks
     */
    err *(*written)(void *ctx);
    void *ctx;
};
/* The container's processes as files; it ends, unless they are left running. Its state stays until runtime_delete(). */
fallible runtime_checkpoint(const char *state_dir, const struct runtime_criu *how);
/* Makes the container of *c from such files: its program goes on where it was. The caller becomes its parent. c->root
 * has the files as they were; its terminal goes to console_sock or *ret_console_fd, as by
 * runtime_create(). On an error nothing is left. */
fallible runtime_restore(const struct runtime_create *c, const struct runtime_criu *how, struct runtime_created *ret);

/* The start's table, for husk explain and the fault tests: names, sides, and the shell commands for a given start. */
const struct step *runtime_create_steps(size_t *ret_n);
/* Prints the table as it happened. times NULL: without times. */
void runtime_explain(const struct runtime_create *c, const struct steps_times *times, FILE *out);
/* A bash script that makes an equivalent container with unshare, mount, pivot_root and friends. */
void runtime_explain_script(const struct runtime_create *c, FILE *out);

#endif
