/*
 * stub.h: applying an order (process/order.h), row by row, up to the program's exec.
 *
 * Every row's function either succeeds or ends the process through stub_fail(): the starter gets the error.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_INIT_STUB_H
#define HUSK_INIT_STUB_H

#include "init/sys.h"
#include "process/order.h"

struct stub {
    struct order_head *head;
    int say_sock; /* the error socket, and after the start the starter's connection; -1: standard error */
    int tty_fd;
    bool stdio_is_tty; /* 0, 1, 2 are tty_fd now */
    struct order_caps caps;
    bool caps_given, no_new_privs, filtered, listen_pid;
    uint64_t have_permitted; /* what this process holds until the exec */
    const struct order_exec *exec;
    uint32_t exec_size;
    char **argv, **envp;
    const char *program; /* what LOOKUP found */
    struct words *words; /* shared with who waits, under a filter that lets us say nothing; else NULL */
};

/* Applies the order in order_fd and execs: does not come back. */
_Noreturn void stub_run(int order_fd, int error_sock, int tty_fd);

/* The size of an error and the error, as in a message: a page of its own, read at the end of file. */
struct words {
    uint32_t size;
    char error[4092];
};
/* One message to whoever waits. */
void stub_say(const struct stub *s, enum order_say what, const void *bytes, size_t n);
/* Says "act 'object': errno's text" and ends. object may be NULL, errnum 0. */
_Noreturn void stub_fail(const struct stub *s, enum order_err kind, int errnum, const char *act, const char *object);
/* The same with the kind that the errno stands for. ret is a system call's answer: -errno. */
_Noreturn void stub_fail_sys(const struct stub *s, long ret, const char *act, const char *object);

#define STUB_ROW(name) void name(struct stub *s, const void *payload, uint32_t size)
/* world.c: where the process is and what it has */
STUB_ROW(row_affinity);
STUB_ROW(row_join);
STUB_ROW(row_oom_score);
STUB_ROW(row_session);
STUB_ROW(row_terminal);
STUB_ROW(row_close);
STUB_ROW(row_rlimit);
STUB_ROW(row_personality);
STUB_ROW(row_scheduler);
STUB_ROW(row_ioprio);
STUB_ROW(row_mempolicy);
/* rights.c: who it is and what it may do */
STUB_ROW(row_keyring);
STUB_ROW(row_label);
STUB_ROW(row_stdio_owner);
STUB_ROW(row_bounding);
STUB_ROW(row_ids);
STUB_ROW(row_umask);
STUB_ROW(row_caps);
STUB_ROW(row_nnp);
STUB_ROW(row_landlock);
STUB_ROW(row_seccomp);
/* home.c: one variable more */
STUB_ROW(row_home);
/* program.c: what it becomes. LISTEN_PID is set by the process that execs, and before a filter that may refuse. */
void set_listen_pid(struct stub *s);
STUB_ROW(row_cwd);
STUB_ROW(row_listen_pid);
STUB_ROW(row_lookup);
STUB_ROW(row_wait);
STUB_ROW(row_hook);
STUB_ROW(row_exec);

/* A file below /proc/thread-self or /proc/self that is what it seems, whatever is mounted where: -errno or it. */
long proc_open(const char *path, uint64_t flags);
/* Sets effective and permitted; inheritable as ordered once CAPS was applied. */
long caps_set(struct stub *s, uint64_t effective, uint64_t permitted);
/* Down to what the program is to have, plus a capability that the next row needs (-1: none) if it is there. */
void caps_finish(struct stub *s, int also);

#endif
