/*
 * container.h: a container from its making to its removal.
 *
 *   <root>/containers/<id>/        mode 0700; flock(2) on the folder itself is the container's lock
 *       upper/ work/               its writable layer
 *       config.json                the OCI document of the last start: its presence says that there was one
 *       log.json exit.json         the monitor's
 *       signal.json                who of husk's signalled it last
 *       stopped                    somebody stopped it, so no policy starts it again; a start takes it away
 *   <run>/<id>/                    state.json, attach.sock: what dies with the machine; and, as bound into it,
 *                                  hosts, hostname and resolv.conf, made anew by each start; start.times: when each
 *                                  row of the last start ran (struct steps_times). Of a container that is removed
 *                                  when it ends: config.json and exit.json too
 *
 * Whether it runs is asked of the exit record, of state.json and of the kernel, never of a file that says so. A folder
 * without a row in husk.db was never acknowledged: it is rubbish once nobody holds its lock. A row goes before its
 * folder, so a name that answered once is never half there.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CONTAINER_H
#define HUSK_ENGINE_CONTAINER_H

#include "engine/config.h"
#include "engine/engine.h"
#include "engine/network_start.h"
#include "engine/options.h"
#include "engine/spec.h"
#include "layers/diff.h"
#include "os/proc.h"
#include "runtime/runtime.h"

struct container {
    struct engine *engine; /* borrowed */
    struct db_container row;
    struct container_config *config; /* parsed by container_config(); NULL before */
    char *dir, *state_dir;
    int lock_fd;                        /* -1: not locked */
    int preserve_fds;                   /* how many of our descriptors from 3 on the next start hands to the program */
    bool waits;                         /* the next start is container_init()'s */
    const struct runtime_criu *restore; /* the next start is container_restore()'s; NULL: it is not. Borrowed */
    bool admitted; /* the signature policy was asked when it was made, a moment ago: its start need not */
    /* Of the start that comes next: how often it was restarted, and the wait before; 0: somebody starts it */
    int64_t restarts, restart_delay_ns;
};
void container_free(struct container *c);
OWN_TYPE(container, struct container *, container_free)

/* By name, ID or unique prefix. One whose monitor was killed is mended by the way. NOT_FOUND, CONFLICT. */
fallible container_find(struct engine *e, const char *what, struct container **ret);
/* The row's JSON, parsed on the first call. Borrowed. */
fallible container_config(struct container *c, const struct container_config **ret);
/* Waits for the lock; held until container_unlock() or container_free(). NOT_FOUND when it is being removed. */
fallible container_lock(struct container *c);
void container_unlock(struct container *c);

/* RESTARTING: it has ended, and its monitor waits to start it again. */
enum container_status {
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_PAUSED,
    CONTAINER_RESTARTING,
    CONTAINER_EXITED
};
const char *container_status_word(enum container_status s); /* "created" ... */
struct container_state;
const char *container_state_word(const struct container_state *s); /* the same, or "initialized" */
struct container_state {
    enum container_status status;
    struct proc_id init;             /* running, paused */
    int64_t exit_code;               /* exited; 255 when nobody was there to see it */
    int64_t started_ns, finished_ns; /* 0: not yet, or not known */
    int64_t restart_ns;              /* exited, restarting: when its policy was to start it again; 0: not */
    bool oom_killed, timed_out;
    bool ending; /* running, but dead: its monitor is about to say how it ended */
    bool waits;  /* running, and its program waits for container_start(): container_init() has made its first process */
    char *error; /* why it could not be started, or NULL */
};
void container_state_clear(struct container_state *s);
fallible container_state(const struct container *c, struct container_state *ret);

/* The image a new container is made of, pulled when the policy ("always", "newer", "missing", "never") says so. The
 * store's lock in *ret_lock keeps its layers until the container has its row. */
struct image_wish {
    const char *name, *platform, *pull;
    const char *policy; /* a signature policy's file; NULL: policy.json */
    bool quiet;
    const char *authfile, *cert_dir, *creds, *tls_verify, *retry,
        *retry_delay; /* husk-image's options of a pull; NULL: not given */
};
/* Runs husk-image with these arguments (NULL at the end); what it prints goes to stderr. It has said by itself what
 * failed: the error is err_exit(125). */
fallible image_program_run(const char *const *args);
/* The same for a command of one word, with --creds ("USER:PASSWORD") by a descriptor: a command line is everybody's to
 * read (proc(5), cmdline). creds may be NULL. */
fallible image_program_run_as(const char *const *args, const char *creds);
/* The same with any option ("--header-file") whose value is such a file. */
fallible image_program_run_with(const char *const *args, const char *name, const char *secret);
fallible image_for_container(struct engine *e, const struct image_wish *wish, struct image **ret, int *ret_lock);

/* The signature policy about the image that a container was made of, as if it ran by that name today. DENIED and what
 * trusted_ask() says; nothing to ask with --rootfs. */
fallible image_admit_container(struct container *c);

/* A power cut leaves it there: engine_settle(). */
void container_keep(struct container *c);
/* Makes it: folder, volumes, row. args[0] is the image, unless o->rootfs is set. */
fallible container_create(struct engine *e, const struct create_options *o, char *const *args, size_t args_n,
                          struct container **ret);

/**
 * container_start - start a created or exited container.
 * The signature policy is asked about its image first.
 * @ret_sock: a connection that is attached from the first byte on (monitor/attach.h); NULL: nobody is.
 * Errors: UNCHANGED when it runs; DENIED (the policy); EXEC_MISSING, EXEC_DENIED; what runtime_create() says.
 */
fallible container_start(struct container *c, int *ret_sock);
/* For a start that failed, or a build's step: the kernel says only that it is not permitted; what is in the way in a
 * container around us, and what takes it out of it, is said in front. */
fallible container_inside_another(err *take_e);
/* All of a start but its last step: namespaces, mounts, networks and the first process are there, and the program waits
 * for container_start(). UNCHANGED when it waits already, CONFLICT when it runs. */
fallible container_init(struct container *c);
/* What the start gives to the runtime, for `husk explain`: made anew, nothing is started. */
struct container_plan {
    struct oci_spec *spec;
    struct rootfs_source root;
    struct runtime_create create;
    struct container_network network; /* before a start: of network_prepare(), else of network_look() */
    char *seccomp_cache;
    struct strv pasta;  /* options, with --network pasta */
    int mounts_user_fd; /* of a shifted container (userns.h): what is above its user namespace; else -1 */
    int files_user_fd;  /* a user namespace with the default map, once a file was given away in it; else -1 */
};
#define CONTAINER_PLAN_NONE ((struct container_plan){ .mounts_user_fd = -1, .files_user_fd = -1 })
/* With the default limits, or, where there are no cgroups to keep them, without. */
enum plan_limits { PLAN_LIMITS, PLAN_NO_LIMITS };
enum plan_network { PLAN_NETWORK_LOOK, PLAN_NETWORK_MAKE };
fallible container_plan(struct container *c, enum plan_limits limits, enum plan_network network,
                        struct container_plan *ret);
void container_plan_clear(struct container_plan *p);
/* The generated files of a container that does not run, for a script that binds them: its run-time folder is made. */
fallible container_show_files(struct container *c, struct container_plan *plan);

/* To its first process. CONFLICT when it does not run. After KILL it does not run when this returns, as with docker,
 * unless it is frozen or does not die within ten seconds. */
fallible container_kill(struct container *c, int signal);
/* Who of husk's sent it the last signal in this run, or its last one. NOT_FOUND: nobody did. */
struct container_sender {
    char *verb; /* "stop", "kill", "rm" ... */
    int64_t signal;
    int64_t first_signal, waited_s; /* the gentler signal before, and how long it was waited then; 0: none */
    int64_t pid, uid;               /* of husk */
    char *caller;                   /* the name of the process that called husk, or NULL */
    int64_t at_ns;                  /* CLOCK_REALTIME */
};
void container_sender_free(struct container_sender *s);
OWN_TYPE(container_sender, struct container_sender *, container_sender_free)
fallible container_sender(struct container *c, struct container_sender **ret);
struct stop_options {
    int signal;               /* 0: its own, else TERM */
    bool stays_wanted;        /* its policy may start it again after a reboot: no mark is left that it was stopped */
    const char *verb;         /* for whom, as container_sender has it; NULL: "stop" */
    struct opt_i64 timeout_s; /* -1: for ever; unset: its own, else 10 */
};
/* The stop signal, then KILL after the time. Not running is no error. */
fallible container_stop(struct container *c, const struct stop_options *o);
/* Stop and start. One that does not run is started. */
fallible container_restart(struct container *c, const struct stop_options *o);
/* What its monitor becomes when the wait before a restart is over. Nothing to do when it is wanted no more. */
fallible container_restart_again(struct container *c);
/* How often its policy has started it since somebody did. */
int64_t container_restarts(const struct container *c);
/* CONFLICT when it is so already or does not run; UNSUPPORTED without a control group. */
fallible container_pause(struct container *c);
fallible container_unpause(struct container *c);
/* Changes the limits and the restart policy that are set in o, now and for later starts; on an error all is as before.
 */
fallible container_update(struct container *c, const struct create_options *o);
/* Until it does not run; its exit code. */
fallible container_wait(struct container *c, int *ret_code);
/* Until one of these is so. The code is -1 where it was not an end. */
enum wait_condition {
    WAIT_STOPPED = 1,
    WAIT_CREATED = 2,
    WAIT_RUNNING = 4,
    WAIT_PAUSED = 8,
    WAIT_NEXT_EXIT = 16,
    WAIT_REMOVED = 32,
    WAIT_HEALTHY = 64,
    WAIT_UNHEALTHY = 128
};
/* "not-running", "stopped", "exited", "created", "running", "paused", "next-exit", "removed", "healthy", "unhealthy".
 * INVALID names the rest. */
fallible wait_condition_parse(const char *word, unsigned *ret);
/* interval_ms: how often it is looked at where there is nothing to wait on. Of health alone: INVALID without a health
 * check, CONFLICT when it has ended, since its health will not change then. Source: podman-wait(1), --condition. */
fallible container_wait_for(struct container *c, unsigned conditions, int interval_ms, int *ret_code);
struct trash;
struct remove_options {
    bool force;               /* kill it first; a missing one is no error */
    bool volumes;             /* its anonymous volumes too */
    struct trash *trash;      /* where to (engine/trash.h); NULL: it is gone */
    const struct db_pod *pod; /* this is its infra, and the pod's row goes with it; NULL: an infra is CONFLICT */
};
fallible container_remove(struct container *c, const struct remove_options *o);
/* What container_remove() would remove, and the errors that it would answer before it touches anything. */
struct removal {
    struct strv volumes; /* caller frees */
    uint64_t bytes;      /* of its writable layer and logs */
};
fallible container_removal(struct container *c, bool force, bool volumes, struct removal *ret);
/* Bytes on disk of its writable layer; those of its image come with it where the root is an image's. */
fallible container_size(struct container *c, uint64_t *ret_writable, uint64_t *ret_whole);
fallible container_rename(struct container *c, const char *name);
/* Runs a program in it with our own stdio, and waits. 0..255, 128 + signal. */
fallible container_exec(struct container *c, const struct exec_options *o, char *const *args, size_t args_n,
                        int *ret_code);

/* Each path that it added, changed or deleted in its root, sorted. UNSUPPORTED with --rootfs. */
fallible container_diff(struct container *c, diff_tell *tell, void *ctx);
/* What container_diff() leaves out: mount points that husk made. */
void container_diff_skip(const struct container_config *c, struct strv *ret);
/* Its root as a tar, without what is mounted on it. */
fallible container_export(struct container *c, int fd);

/* Gives a running container whose monitor was killed another one; one that has a monitor keeps it. */
fallible container_adopt(struct container *c);

/* --filter KEY=VALUE, as docker's: id, name (a regular expression), label, label!, status, ancestor, exited, volume,
 * network, before, since, until, health, publish, expose, is-task, restart-policy. */
struct list_options {
    bool all;
    int64_t last; /* the n newest, whatever their state; 0: no limit */
    const struct strv *filters;
};
struct container_list {
    struct container **items;
    struct container_state *states;
    size_t n;
};
fallible container_list(struct engine *e, const struct list_options *o, struct container_list *ret);
void container_list_clear(struct container_list *l);

/* The source of its root. Caller clears with rootfs_source_free(). */
fallible container_root(struct container *c, struct rootfs_source *ret);
/* Removes folders that no row owns and nobody holds. */
fallible container_sweep(struct engine *e, struct strv *ret_swept);

#endif
