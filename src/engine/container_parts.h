/*
 * container_parts.h: what the verbs of engine/container.h share among themselves.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CONTAINER_PARTS_H
#define HUSK_ENGINE_CONTAINER_PARTS_H

#include "engine/container.h"
#include "engine/events.h"

struct container *container_new(struct engine *e, struct db_container *take_row);
fallible name_check(const char *name);

/* When nobody saw how it ended: docker's code for that. */
enum { EXIT_UNKNOWN = 255 };

/* The process is gone, or never was, without an exit record: waits a little for the monitor to write it, and writes it
 * itself (code 255, or what the kernel still knows) when there is no monitor. Called with the lock held, or the
 * container may be gone afterwards, if it is one of --rm. pidfd: of its first process, or -1. */
fallible container_settle(struct container *c, int pidfd);
/* Waits until the first process is gone. timeout_ms -1: for ever; *ret_gone tells. */
fallible container_await(const struct container_state *state, int timeout_ms, bool *ret_gone, int *ret_pidfd);

/* A start that was killed before it wrote its state leaves a control group that only the configuration still names:
 * kills what is in it, and removes it. Nothing to do when the last run's record says that it is gone. */
fallible container_forget_cgroup(struct container *c);

/* The exit record says that the last run's control group is gone. */
bool container_cgroup_gone(const struct container *c);
/* Where config.json and exit.json are: the folder, or, of a container that goes when it ends, the run-time folder,
 * which is memory: no disk is written for them, and after a reboot they are gone as they should be. Borrowed. */
fallible container_record_dir(struct container *c, const char **ret);

/* The OCI document of the last start. */
fallible container_spec(struct container *c, struct oci_spec **ret);
/* The beginning of container_exec(): with the stdio, console and session of *x, the rest of which is filled here. */
fallible container_exec_start(struct container *c, const struct exec_options *o, char *const *args, size_t args_n,
                              struct runtime_exec *x, struct runtime_created *ret);

/* Before husk sends a signal that may end it: who sends which, and why. first_signal and waited_s: what was sent
 * before, and how long ago, when this one is the stronger; 0: nothing was. sender.c. */
void container_note_sender(struct container *c, const char *verb, int signal, int first_signal, int64_t waited_s);
#define SENDER_FILE "signal.json"

/* When its monitor was killed: another watches over it, or its end is recorded, or its restart made up for. What goes
 * wrong is in the debug log: the container is then as it was. Not with the lock held. mend.c. */
void container_mend(struct container *c);

/* What was said, over what was; INVALID where the two do not fit. update.c */
fallible container_merge_limits(struct container_resources *to, const struct container_resources *said);

/* Restart policies: restart.c. */
/* How often one that has no exit record has been restarted. */
int64_t container_restarts_running(const struct container *c);
/* Whether it has a policy at all: only then the mark below and the lock of a stop matter. */
bool container_may_restart(struct container *c);
/* The mark that somebody stopped it, and with the lock held. A start takes it away. */
bool container_was_stopped(const struct container *c);
fallible container_mark_stopped(struct container *c);
void container_unmark_stopped(const struct container *c); /* with the lock held, and when its monitor is gone */
/* A monitor that waits to start it again looks at the mark now; returns when it has. */
void container_end_backoff(struct container *c);
/* In a new run-time folder: how often it has been restarted. */
fallible container_note_restarts(const struct container *c, int64_t count);
/* To the monitor of a container that runs or waits; the configuration is the caller's to change. */
fallible container_set_restart(struct container *c, const char *policy);

/* Before a start: the layers of its mounts with O, empty again, and the volumes that have to be mounted. */
fallible container_prepare_mounts(struct container *c);

/* --secret: into the run-time folder; into the variables of a process, after config.json was written. */
fallible container_write_secrets(struct container *c, struct container_plan *plan);
fallible container_add_secret_env(struct container *c, struct strv *env);
/* A file of ours becomes one of a user of the container's. For an ordinary user that takes a user namespace, which the
 * plan keeps: newuidmap and newgidmap, twice for each of five files, were half of such a start. */
fallible container_give_file(struct container_plan *plan, int fd, uint32_t uid, uint32_t gid, mode_t mode);

fallible container_write_accounts(struct container *c, struct container_plan *plan);

/* c->systemd is "auto", "always" or NULL before, "always" or NULL after; systemd_mode.c. */
fallible container_find_init(struct container_config *c, const struct rootfs_source *root);
fallible container_use_systemd(struct container_config *c);
/* systemd's /etc/machine-id: the first half of the container's ID, as podman has it. Of a root that is used in place
 * none is written. */
fallible container_write_machine_id(const struct container *c);

struct monitor_plan;
struct log_words;
/* What the monitor is told of a container that runs as init; husk and log are borrowed by the plan. */
void monitor_plan_of(const struct container *c, struct proc_id init, const char *husk, const struct log_words *log,
                     struct monitor_plan *ret);

enum { START_RUNS = 'R' }; /* no kind of an encoded error */
/* The child of a start: runtime_create(), then the monitor. Never returns. */
struct start_child {
    struct container *container;
    const struct container_plan *plan;
    const struct log_words *log; /* log_words.h */
    int answer_fd;               /* START_RUNS when it runs; the exec closes it. Or an encoded error */
    int client_fd;               /* the monitor's end of the first client's connection, or -1 */
};
void start_child(const struct start_child *s) __attribute__((noreturn));

#endif
