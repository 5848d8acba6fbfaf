/*
 * order.h: the byte format of an order, from program_compile() to husk-init.
 *
 * An order is a memfd: one head, then rows. Rows are applied in the order in which they stand; each is a fixed struct
 * below, some followed by bytes. All numbers are of the machine's own size and order: writer and reader are two
 * programs of one build on one machine, and the version is checked. The reader trusts it no further than its bounds:
 * sizes and counts are checked against the rows' own sizes, so that a damaged order is an error, not a crash.
 *
 *   offset 0   struct order_head
 *   offset sizeof(struct order_head)   rows, each at a multiple of 8:
 *              struct order_row { kind, size }, then `size` bytes of that kind's payload, padded with zeros to 8
 *
 * This header is all that husk-init shares with the rest of husk; it needs no libc.
 *
 * What husk-init says over the error socket (SOCK_SEQPACKET, close-on-exec): one message each, the first byte its kind;
 * errors and the ready byte are those of os/steps.h.
 *   'E' error    as err_encode() writes it: kind u32, errno u32, text. The process then ends with status 1.
 *   'p' i32      after a join: the pid of the program's process, a child of the caller. The first message of a join.
 *   'h'          the new process after CLONE_INTO_CGROUP is alive: end of file without it means that the kernel killed
 *                it at birth (see cgroup.h), and the caller starts again without a cgroup_fd.
 *   'n' + fd     the filter is loaded, and this is its listener (SCM_RIGHTS): whoever waits passes it on. With row
 *                WAIT the starter gets it.
 *   'm' + fd     a page in memory for the stub's last words: the filter that it is about to load does not let it say
 * 'E', or end. Whoever waits reads it at the end of file (steps.h, steps_last_words()). 'r'          ready: everything
 * is applied, it waits for the start (row WAIT). Nothing follows. end of file  exec succeeded; after 'r', the starter
 * is told instead.
 *
 * The starter connects to the listening socket (SOCK_SEQPACKET) and sends one byte; it gets an 'E' message, or end of
 * file once the exec has succeeded. A starter that goes away without a byte changes nothing.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_PROCESS_ORDER_H
#define HUSK_PROCESS_ORDER_H

#include <stdint.h>

#define ORDER_MAGIC   0x4b535548u /* "HUSK" */
#define ORDER_VERSION 6u

enum {
    ORDER_KEEP_MAX = 40,       /* descriptors that husk-init itself needs */
    ORDER_SIZE_MAX = 16 << 20, /* of the whole order: args and env are at most 6 MiB in the kernel */
    ORDER_GROUPS_MAX = 65536,  /* NGROUPS_MAX */
    ORDER_HOOKS_MAX = 64,
};

enum order_say {
    ORDER_SAY_ERROR = 'E',
    ORDER_SAY_PID = 'p',
    ORDER_SAY_HELLO = 'h',
    ORDER_SAY_LISTENER = 'n',
    ORDER_SAY_PAGE = 'm',
    ORDER_SAY_READY = 'r'
};

/* The kinds of base/err.h that husk-init uses; program.c checks that the numbers are the same. */
enum order_err {
    ORDER_ERR_INVALID = 0,
    ORDER_ERR_NOT_FOUND = 1,
    ORDER_ERR_CONFLICT = 3,
    ORDER_ERR_DENIED = 5,
    ORDER_ERR_UNSUPPORTED = 7,
    ORDER_ERR_UNAVAILABLE = 8,
    ORDER_ERR_EXHAUSTED = 9,
    ORDER_ERR_TIMEOUT = 10,
    ORDER_ERR_CORRUPT = 12,
    ORDER_ERR_EXEC_MISSING = 13,
    ORDER_ERR_EXEC_DENIED = 14,
    ORDER_ERR_INTERNAL = 15,
};

struct order_head {
    uint32_t magic, version;
    uint32_t size; /* of the whole order in bytes */
    uint32_t keep_n;
    int32_t keep[ORDER_KEEP_MAX]; /* program_enter() takes their close-on-exec away, husk-init gives it back */
};

struct order_row {
    uint32_t kind, size;
};

/* clang-format off */
#define ORDER_ROWS(X)                                                                                                  \
    /* name          payload               what it does */                                                             \
    X(AFFINITY,      order_bytes,          "sched_setaffinity: a bit per CPU")                                         \
    X(JOIN,          order_join,           "setns, clone with CLONE_PARENT, v1 tasks; the new process goes on")        \
    X(OOM_SCORE,     order_number,         "write oom_score_adj")                                                      \
    X(SESSION,       order_none,           "setsid")                                                                   \
    X(TERMINAL,      order_none,           "the descriptor given to program_enter() becomes 0, 1, 2 and the terminal") \
    X(CLOSE,         order_number,         "close everything from 3+number on that no later row needs")                \
    X(RLIMIT,        order_rlimit,         "prlimit")                                                                  \
    X(PERSONALITY,   order_number,         "personality")                                                              \
    X(SCHEDULER,     order_bytes,          "sched_setattr: a struct sched_attr")                                       \
    X(IOPRIO,        order_number,         "ioprio_set")                                                               \
    X(MEMPOLICY,     order_mempolicy,      "set_mempolicy")                                                            \
    X(KEYRING,       order_none,           "keyctl: a new session keyring")                                            \
    X(LABEL,         order_label,          "AppArmor profile or SELinux label of the next exec")                       \
    X(STDIO_OWNER,   order_number,         "pipes and our terminal on 0, 1, 2 belong to this uid")                     \
    X(HOME,          order_number,         "HOME in the environment, as /etc/passwd has it for this uid")               \
    X(BOUNDING,      order_number,         "bounding set: what is not in the mask is dropped")                         \
    X(IDS,           order_ids,            "setgroups, setresgid, setresuid; capabilities are kept until CAPS")        \
    X(UMASK,         order_number,         "umask")                                                                    \
    X(CAPS,          order_caps,           "inheritable and ambient sets; effective as the program will have it")      \
    X(CWD,           order_bytes,          "chdir, and a check that it is below the root")                             \
    X(LISTEN_PID,    order_none,           "LISTEN_PID in the environment becomes the program's own pid")              \
    X(LOOKUP,        order_none,           "find the program in PATH and check that it can be run")                    \
    X(WAIT,          order_number,         "say ready, accept one connection on this descriptor")                      \
    X(HOOK,          order_hook,           "run a startContainer hook to its end")                                     \
    X(NNP,           order_none,           "no_new_privs")                                                             \
    X(LANDLOCK,      order_landlock,       "a ruleset of what the program may reach, and no way back")                 \
    X(SECCOMP,       order_seccomp,        "load the filter; last, so that it need not allow what stands above")       \
    X(EXEC,          order_exec,           "exec, or with INIT be PID 1 and run it as a child")
/* clang-format on */

enum order_kind {
#define ORDER_ENUM(name, payload, what) ORDER_ROW_##name,
    ORDER_ROWS(ORDER_ENUM)
#undef ORDER_ENUM
        ORDER_ROW_KINDS
};

/* order_none: no payload. order_bytes: all of the payload (texts end with NUL). */
struct order_number {
    int64_t v;
};
struct order_join {
    uint64_t flags; /* CLONE_NEW* */
    int32_t pidfd;
    int32_t cgroup_fd; /* v2 directory for CLONE_INTO_CGROUP, or -1 */
    uint32_t tasks_n;  /* that many int32_t follow: v1 tasks files */
    int32_t root;      /* the directory that is its root, or -1: its mount namespace's */
};
struct order_rlimit {
    uint64_t soft, hard;
    uint32_t resource;
    char name[20]; /* for messages: "RLIMIT_NOFILE" */
};
struct order_mempolicy {
    uint32_t mode; /* with MPOL_F_* flags */
    uint32_t bits; /* of the node mask that follows, as uint64_t words */
};
enum order_label_kind { ORDER_LABEL_APPARMOR, ORDER_LABEL_SELINUX };
struct order_label {
    uint32_t kind, unused; /* text and NUL follow */
};
/* Where setgroups(2) is denied in a user namespace they are the caller's and stay. */
enum order_groups { ORDER_GROUPS_KEEP, ORDER_GROUPS_SET, ORDER_GROUPS_SET_IF_ALLOWED };
struct order_ids {
    uint32_t uid, gid;
    uint32_t set_groups; /* enum order_groups */
    uint32_t groups_n;   /* uint32_t each, following */
};
struct order_caps {
    uint64_t effective, permitted, inheritable, ambient;
};
struct order_hook {
    int32_t stdin_fd;       /* the container's state, rewound for each hook */
    int32_t timeout_s;      /* 0: none */
    uint32_t args_n, env_n; /* path, then args, then env follow, each with its NUL */
};
struct order_landlock {
    uint64_t fs, net, scoped; /* handled rights: LANDLOCK_ACCESS_*, LANDLOCK_SCOPE_* */
    uint32_t rules_n, unused; /* struct order_landlock_rule each, following */
};
struct order_landlock_rule {
    uint64_t access;
    uint32_t port; /* when size is 0 */
    uint32_t size; /* of the path that follows with its NUL, padded with zeros to 8; 0: a port */
};
struct order_seccomp {
    uint32_t flags;   /* SECCOMP_FILTER_FLAG_*; with NEW_LISTENER the listener is said ('n') */
    uint32_t insns_n; /* struct sock_filter each, following */
    uint32_t mute;    /* 1: under it the stub can make no call but execve: see 'm' */
    uint32_t unused;
};
enum order_exec_flags { ORDER_EXEC_INIT = 1 };
struct order_exec {
    uint32_t flags;
    uint32_t args_n, env_n, unused; /* args, then env follow, each with its NUL */
};

#endif
