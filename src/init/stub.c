// SPDX-License-Identifier: GPL-2.0-or-later
#include "init/stub.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* A row's function, the least size of its payload, and whether the payload is a text. */
#define order_none                    uint32_t[0]
#define order_bytes                   uint32_t[0]
#define order_number                  struct order_number
#define order_join                    struct order_join
#define order_rlimit                  struct order_rlimit
#define order_mempolicy               struct order_mempolicy
#define order_label                   struct order_label
#define order_ids                     struct order_ids
#define order_caps                    struct order_caps
#define order_hook                    struct order_hook
#define order_landlock                struct order_landlock
#define order_seccomp                 struct order_seccomp
#define order_exec                    struct order_exec
#define ROW_SIZE(name, payload, what) [ORDER_ROW_##name] = sizeof(payload),
static const uint32_t row_sizes[] = { ORDER_ROWS(ROW_SIZE) };
#undef order_number
#undef order_join
#undef order_rlimit
#undef order_mempolicy
#undef order_label
#undef order_ids
#undef order_caps
#undef order_hook
#undef order_landlock
#undef order_seccomp
#undef order_exec

typedef void row_fn(struct stub *s, const void *payload, uint32_t size);
static row_fn *const row_fns[] = {
    [ORDER_ROW_AFFINITY] = row_affinity,
    [ORDER_ROW_JOIN] = row_join,
    [ORDER_ROW_OOM_SCORE] = row_oom_score,
    [ORDER_ROW_SESSION] = row_session,
    [ORDER_ROW_TERMINAL] = row_terminal,
    [ORDER_ROW_CLOSE] = row_close,
    [ORDER_ROW_RLIMIT] = row_rlimit,
    [ORDER_ROW_PERSONALITY] = row_personality,
    [ORDER_ROW_SCHEDULER] = row_scheduler,
    [ORDER_ROW_IOPRIO] = row_ioprio,
    [ORDER_ROW_MEMPOLICY] = row_mempolicy,
    [ORDER_ROW_KEYRING] = row_keyring,
    [ORDER_ROW_LABEL] = row_label,
    [ORDER_ROW_STDIO_OWNER] = row_stdio_owner,
    [ORDER_ROW_HOME] = row_home,
    [ORDER_ROW_BOUNDING] = row_bounding,
    [ORDER_ROW_IDS] = row_ids,
    [ORDER_ROW_UMASK] = row_umask,
    [ORDER_ROW_CAPS] = row_caps,
    [ORDER_ROW_CWD] = row_cwd,
    [ORDER_ROW_LISTEN_PID] = row_listen_pid,
    [ORDER_ROW_LOOKUP] = row_lookup,
    [ORDER_ROW_WAIT] = row_wait,
    [ORDER_ROW_HOOK] = row_hook,
    [ORDER_ROW_NNP] = row_nnp,
    [ORDER_ROW_LANDLOCK] = row_landlock,
    [ORDER_ROW_SECCOMP] = row_seccomp,
    [ORDER_ROW_EXEC] = row_exec,
};
_Static_assert(sizeof row_fns / sizeof row_fns[0] == ORDER_ROW_KINDS, "every kind has its function");

void stub_say(const struct stub *s, enum order_say what, const void *bytes, size_t n)
{
    char message[1 + sizeof(uint32_t[2]) + sizeof(((struct text *)0)->bytes)];
    message[0] = (char)what;
    memcpy(message + 1, bytes, n);
    (void)sys(__NR_sendto, s->say_sock, message, n + 1, MSG_NOSIGNAL, 0, 0);
}

_Noreturn void stub_fail(const struct stub *s, enum order_err kind, int errnum, const char *act, const char *object)
{
    struct {
        uint32_t kind, errnum;
        struct text text;
    } e = { .kind = kind, .errnum = (uint32_t)errnum };
    text_add(&e.text, act);
    if (object) {
        text_add(&e.text, " '");
        text_add(&e.text, object);
        text_add(&e.text, "'");
    }
    if (errnum) {
        text_add(&e.text, ": ");
        text_add_errno(&e.text, errnum);
    }
    char flat[sizeof(uint32_t[2]) + sizeof e.text.bytes];
    memcpy(flat, &e, sizeof(uint32_t[2]));
    memcpy(flat + sizeof(uint32_t[2]), e.text.bytes, e.text.n);
    if (s->words) {
        memcpy(s->words->error, flat, sizeof(uint32_t[2]) + e.text.n);
        s->words->size = sizeof(uint32_t[2]) + e.text.n;
    } else if (s->say_sock >= 0) {
        stub_say(s, ORDER_SAY_ERROR, flat, sizeof(uint32_t[2]) + e.text.n);
    } else {
        text_add(&e.text, "\n");
        (void)sys(__NR_write, 2, e.text.bytes, e.text.n);
    }
    leave(kind == ORDER_ERR_EXEC_MISSING ? 127 : kind == ORDER_ERR_EXEC_DENIED ? 126 : 1);
}

_Noreturn void stub_fail_sys(const struct stub *s, long ret, const char *act, const char *object)
{
    static const struct {
        int errnum;
        enum order_err kind;
    } kinds[] = {
        { ENOENT, ORDER_ERR_NOT_FOUND },   { ENOTDIR, ORDER_ERR_NOT_FOUND },      { ESRCH, ORDER_ERR_NOT_FOUND },
        { EPERM, ORDER_ERR_DENIED },       { EACCES, ORDER_ERR_DENIED },          { EROFS, ORDER_ERR_DENIED },
        { ENOSYS, ORDER_ERR_UNSUPPORTED }, { EOPNOTSUPP, ORDER_ERR_UNSUPPORTED }, { EINVAL, ORDER_ERR_INVALID },
        { ENOMEM, ORDER_ERR_EXHAUSTED },   { EMFILE, ORDER_ERR_EXHAUSTED },       { EDQUOT, ORDER_ERR_EXHAUSTED },
        { ENOSPC, ORDER_ERR_EXHAUSTED },   { EBUSY, ORDER_ERR_CONFLICT },         { EAGAIN, ORDER_ERR_CONFLICT },
    };
    enum order_err kind = ORDER_ERR_INTERNAL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].errnum == -ret)
            kind = kinds[i].kind;
    stub_fail(s, kind, (int)-ret, act, object);
}

/* What stands in a row after its fixed part: n texts, each with its NUL. Answers them as a NULL-ended list. */
static const char *texts(const struct stub *s, const char *at, const char *end, char **list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        list[i] = (char *)(uintptr_t)at;
        while (at < end && *at)
            at++;
        if (at++ >= end)
            stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: a text runs past its row", NULL);
    }
    list[n] = NULL;
    return at;
}

static void find_program(struct stub *s, const struct order_exec *exec, uint32_t size)
{
    s->exec = exec;
    const char *at = (const char *)(exec + 1), *end = (const char *)exec + size;
    if (exec->args_n == 0 || exec->args_n > size || exec->env_n > size)
        stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: no program", NULL);
    s->argv = pages(((size_t)exec->args_n + exec->env_n + 3) * sizeof(char *)); /* one more for HOME */
    if (!s->argv)
        stub_fail(s, ORDER_ERR_EXHAUSTED, ENOMEM, "read the order", NULL);
    s->envp = s->argv + exec->args_n + 1;
    at = texts(s, at, end, s->argv, exec->args_n);
    (void)texts(s, at, end, s->envp, exec->env_n);
    s->program = s->argv[0];
}

/* Calls fn for each row, or only checks them. */
static void walk(struct stub *s, bool apply)
{
    const char *at = (const char *)(s->head + 1), *end = (const char *)s->head + s->head->size;
    while (at < end) {
        const struct order_row *row = (const void *)at;
        if ((size_t)(end - at) < sizeof *row || row->size > (size_t)(end - at) - sizeof *row ||
            row->kind >= ORDER_ROW_KINDS || row->size < row_sizes[row->kind])
            stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: a row is damaged", NULL);
        if (apply)
            row_fns[row->kind](s, row + 1, row->size);
        else if (row->kind == ORDER_ROW_EXEC)
            find_program(s, (const void *)(row + 1), row->size);
        size_t step = sizeof *row + (((size_t)row->size + 7) & ~(size_t)7);
        at = step > (size_t)(end - at) ? end : at + step;
    }
}

static void open_order(struct stub *s, int fd)
{
    long size = sys(__NR_lseek, fd, 0, SEEK_END);
    if (size < (long)sizeof *s->head || size > ORDER_SIZE_MAX)
        stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: it has no sensible size", NULL);
    long p = sys(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (p < 0 && p > -4096)
        stub_fail_sys(s, p, "map the order", NULL);
    (void)sys(__NR_close, fd);
    s->head = (void *)p;
    if (s->head->magic != ORDER_MAGIC || s->head->version != ORDER_VERSION || s->head->size != size ||
        s->head->keep_n > ORDER_KEEP_MAX)
        stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: husk-init and husk are of different builds", NULL);
    for (uint32_t i = 0; i < s->head->keep_n; i++)
        (void)sys(__NR_fcntl, s->head->keep[i], F_SETFD, FD_CLOEXEC);
}

/* The program starts with every signal at its default and none blocked, whatever husk's caller had. */
static void reset_signals(void)
{
    struct kernel_sigaction dfl = { 0 };
    uint64_t none = 0;
    for (int i = 1; i <= SIGNALS; i++)
        if (i != SIGKILL && i != SIGSTOP)
            (void)sys(__NR_rt_sigaction, i, &dfl, 0, sizeof dfl.mask);
    (void)sys(__NR_rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof none);
}

_Noreturn void stub_run(int order_fd, int error_sock, int tty_fd)
{
    struct stub s = { .say_sock = error_sock, .tty_fd = tty_fd };
    if (error_sock >= 0)
        (void)sys(__NR_fcntl, error_sock, F_SETFD, FD_CLOEXEC);
    if (tty_fd >= 0)
        (void)sys(__NR_fcntl, tty_fd, F_SETFD, FD_CLOEXEC);
    reset_signals();
    open_order(&s, order_fd);
    walk(&s, false);
    if (!s.exec)
        stub_fail(&s, ORDER_ERR_CORRUPT, 0, "read the order: no program", NULL);
    walk(&s, true);
    stub_fail(&s, ORDER_ERR_CORRUPT, 0, "read the order: it ends without a program", NULL);
}
