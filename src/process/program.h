/*
 * program.h: the last part of a start, from inside the container: user, capabilities, seccomp, limits, terminal, exec.
 *
 * It is done by a small static stub (husk-init, sealed in memory) so that husk's own binary can never be
 * reached from a container, even by "#!/proc/self/exe". The parent compiles an order: everything that needs files,
 * memory or parsing is done there; the stub only applies it, row by row, and execs. The order's byte format is
 * process/order.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_PROCESS_PROGRAM_H
#define HUSK_PROCESS_PROGRAM_H

#include <stdio.h>
#include <sys/types.h>

#include "spec/oci_runtime.h"

/* crun's, which podman writes for --group-add keep-groups: the caller's additional groups are kept, none are set. */
#define KEEP_GROUPS_ANNOTATION "run.oci.keep_original_groups"

struct program {
    const struct oci_process *process;
    const struct oci_seccomp *seccomp;   /* NULL: none */
    const char *seccomp_cache_dir;       /* compiled filters are kept here; NULL: not kept */
    const struct seccomp_filter *filter; /* that, compiled already and without a listener; NULL: it is not */
    const struct strmap *annotations;    /* may be NULL */
    const json_t *personality;           /* linux.personality and .memoryPolicy of the configuration; may be NULL */
    const json_t *memory_policy;
    bool own_userns;    /* the container has a user namespace: ids are inside it */
    bool keep_groups;   /* setgroups(2) is denied in it (one mapped gid, no newgidmap): leave them */
    bool joined_userns; /* it may be denied there: then they are left, unless there are some to set */
    bool new_session_keyring;
    /* exec into a running container */
    int join_pidfd;      /* -1: not a join; else setns(2) into this process's namespaces first */
    int join_root;       /* its root directory, when that is not its mount namespace's (state shares_mounts); else -1 */
    uint64_t join_flags; /* CLONE_NEW* to join; the user namespace only when it is not ours already */
    const int *tasks_fds; /* v1 cgroup tasks files to write "0" to in the new process */
    size_t tasks_fds_n;
    int cgroup_fd; /* v2 directory to clone into, or -1 */
    /* create without start: the stub accepts a connection on this SOCK_SEQPACKET listener and execs when told; -1: at
     * once */
    int start_listen_fd;
    const struct oci_hook *start_container; /* run by the stub between start and exec */
    size_t start_container_n;
    int hook_state_fd; /* the state's JSON, for their standard input (a memfd); -1 without hooks */
    /* descriptors 3 ... 3+n-1 stay open for the program (LISTEN_FDS, --preserve-fds). A LISTEN_PID in env is corrected
     */
    int preserve_fds;
    bool new_session; /* setsid(2); implied by process->terminal */
    bool init;        /* --init: husk-init stays as PID 1 and runs the program as its child */
};

/**
 * program_compile - the order as a memfd (close-on-exec), made in the parent before the clone.
 * Errors: INVALID (what the configuration has wrong: unknown capability, rlimit, uid 4294967295 ...), DENIED (what this
 * process itself may not hand on: a capability outside its bounding set, a higher hard limit), UNSUPPORTED.
 */
fallible program_compile(const struct program *p, int *ret_order_fd);
/* The order's bytes as they are in the memfd, for tests. Caller frees. */
fallible program_compile_bytes(const struct program *p, void **ret_bytes, size_t *ret_size);

/*
 * In the parent, after the clone and before the child's program_enter(), for a container with its own user namespace:
 * what only a process with rights outside of it may do, raising hard limits and lowering oom_score_adj. Does nothing
 * when the stub can do it all.
 */
fallible program_raise(const struct program *p, pid_t pid);

/* libexec/husk/husk-init as a descriptor to exec, close-on-exec, that nobody can write through: a sealed copy in memory
 * of its 25 KB. Made in the parent. A read-only detached mount would do as well and is the fallback where programs in
 * memory are forbidden (vm.memfd_noexec=2), but dropping a mount waits for an RCU grace period: 0.6 ms against 5 us. */
fallible program_open_stub(int *ret_stub_fd);

/**
 * program_enter - in the child, as its last step: exec the stub with the order. Returns only with an error.
 * @error_sock: the child's end of the step socket (SOCK_SEQPACKET); see process/order.h for what is said over it.
 * @tty_fd:     with process->terminal: the slave of the container's terminal, to be 0, 1, 2 and the controlling
 *              terminal; opened by the caller from the container's devpts, so that it is what it seems. Else -1.
 */
fallible program_enter(int stub_fd, int order_fd, int error_sock, int tty_fd);

/* What the stub says until it has execed, or is ready to. For a join; without one steps_wait() is enough. */
struct program_said {
    pid_t pid;      /* of a join; 0: none was said */
    bool ready;     /* it waits for the start */
    bool stillborn; /* CLONE_INTO_CGROUP made a dead child: reap pid, and do it again with cgroup_fd -1 and cgroup_add()
                     */
    /* in: gets the listener of a filter with SCMP_ACT_NOTIFY, when ret->pid is known already; an error ends the wait */
    err *(*take_listener)(void *ctx, pid_t pid, int take_fd);
    void *ctx;
};
/* @joined_v2: cgroup_fd was given. On an error ret is valid too: a pid in it is a child to be killed and reaped. */
fallible program_wait(int sock, bool joined_v2, struct program_said *ret);

/* What the order does, as shell commands (setpriv, prlimit ... exec), for `husk explain`. */
void program_explain(const struct oci_process *process, const struct oci_seccomp *seccomp, FILE *out);

/* UNSUPPORTED where the kernel runs without the security module that a label is for. */
enum program_lsm { PROGRAM_APPARMOR, PROGRAM_SELINUX };
fallible program_lsm_check(enum program_lsm lsm, const char *what);

/* Capability words as the specs write them. */
fallible capability_parse(const char *word, int *ret_number); /* "CAP_CHOWN", "chown" */
const char *capability_name(int number);                      /* "CAP_CHOWN"; NULL beyond the known */
/* The bounding set of this process: what it may hand on at all. */
fallible capability_bounding(uint64_t *ret_mask);
/* Of these alone: each is a call. */
fallible capability_bounding_of(uint64_t of, uint64_t *ret_mask);
/* DENIED, with the reason, for a mask that is not within it: for capabilities that a user asked for by name. What only
 * comes from a default is to be intersected with capability_bounding() instead. In a user namespace of its own a
 * container can have any. */
fallible capability_check(uint64_t wanted);
/* Words to mask, of config.json: what is no capability is a warning and left out. Source: runtime-spec config.md,
 * "capabilities". */
uint64_t capability_mask(const struct strv *words);
/* Mask to words, in the order of their numbers. */
void capability_words(uint64_t mask, struct strv *words);

/* The words of linux.memoryPolicy, one after the other; NULL beyond the last. */
const char *program_policy_mode(size_t i);
const char *program_policy_flag(size_t i);

/* "RLIMIT_NOFILE", "nofile" -> RLIMIT_*; INVALID names the word. */
fallible rlimit_parse(const char *word, int *ret_resource);
const char *rlimit_name(int resource); /* "RLIMIT_NOFILE"; NULL beyond the known */

#endif
