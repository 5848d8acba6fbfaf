// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/kernel_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"

enum { RECORD_MAX = 8192, LINE_MAX_ = 2048 };

/* ---- one line ---- */

static const char *value_of(const char *line, const char *key)
{
    const char *at = line;
    size_t n = strlen(key);
    while ((at = strstr(at, key))) {
        if (at == line || strchr(" ,:", at[-1]))
            return at + n;
        at += n;
    }
    return NULL;
}

static int64_t number_of(const char *line, const char *key)
{
    const char *value = value_of(line, key);
    return value ? strtoll(value, NULL, 10) : 0;
}

/* Up to what ends it; quotes are left out. */
static void copy_value(const char *line, const char *key, const char *ends, char *out, size_t room)
{
    const char *value = value_of(line, key);
    size_t n = 0;
    if (value && *value == '"') {
        value++;
        ends = "\"";
    }
    for (; value && *value && !strchr(ends, *value) && n + 1 < room; value++)
        out[n++] = (unsigned char)*value < ' ' ? '?' : *value;
    out[n] = '\0';
}

static bool is_oom(const char *line, struct kernel_entry *e)
{
    if (!strstr(line, "oom-kill:constraint="))
        return false;
    e->kind = KERNEL_OOM;
    e->signal = 9;
    copy_value(line, "oom_memcg=", ",", e->cgroup, sizeof e->cgroup);
    copy_value(line, "task=", ",", e->task, sizeof e->task);
    e->pid = number_of(line, "pid=");
    return e->pid > 0;
}

static bool is_seccomp(const char *line, struct kernel_entry *e)
{
    const char *arch = value_of(line, "arch=");
    if (!strstr(line, "type=1326 ") || !arch || !value_of(line, "syscall="))
        return false;
    e->kind = KERNEL_SECCOMP;
    e->pid = number_of(line, "pid=");
    e->signal = number_of(line, "sig=");
    e->syscall = number_of(line, "syscall=");
    e->arch = strtoull(arch, NULL, 16);
    copy_value(line, "comm=", " ", e->task, sizeof e->task);
    return e->pid > 0;
}

static bool is_lsm(const char *line, struct kernel_entry *e)
{
    const char *denied = strstr(line, "avc:  denied  {");
    if (strstr(line, "apparmor=\"DENIED\"")) {
        e->kind = KERNEL_APPARMOR;
        copy_value(line, "operation=", " ", e->what, sizeof e->what);
    } else if (denied) {
        const char *what = denied + strlen("avc:  denied  {");
        what += *what == ' ';
        size_t n = strcspn(what, "}");
        e->kind = KERNEL_SELINUX;
        n = n < sizeof e->what ? n : sizeof e->what - 1;
        memcpy(e->what, what, n);
        while (n && e->what[n - 1] == ' ')
            e->what[--n] = '\0';
    } else {
        return false;
    }
    e->pid = number_of(line, "pid=");
    copy_value(line, "comm=", " ", e->task, sizeof e->task);
    return e->pid > 0;
}

/* "name[123]: segfault at 0 ip ...", "traps: name[123] general protection fault ip:...", "... trap invalid opcode ..."
 */
static bool is_fault(const char *line, struct kernel_entry *e)
{
    static const struct {
        const char *words;
        int signal;
    } faults[] = { { "segfault at ", 11 },
                   { "general protection fault", 11 },
                   { "trap invalid opcode", 4 },
                   { "trap divide error", 8 },
                   { "trap stack segment", 7 } };
    const char *begin = strncmp(line, "traps: ", 7) == 0 ? line + 7 : line, *open = strchr(begin, '[');
    char *end = NULL;
    for (size_t i = 0; open && i < sizeof faults / sizeof faults[0]; i++) {
        size_t n = (size_t)(open - begin);
        if (!strstr(open, faults[i].words))
            continue;
        e->kind = KERNEL_FAULT;
        e->signal = faults[i].signal;
        e->pid = strtoll(open + 1, &end, 10);
        n = n < sizeof e->task ? n : sizeof e->task - 1;
        memcpy(e->task, begin, n);
        (void)snprintf(e->what, sizeof e->what, "%.*s", (int)strcspn(faults[i].words, "\n"), faults[i].words);
        return *end == ']' && e->pid > 0;
    }
    return false;
}

bool kernel_entry_parse(const char *text, size_t n, struct kernel_entry *ret)
{
    static bool (*const kinds[])(const char *, struct kernel_entry *) = { is_oom, is_seccomp, is_lsm, is_fault };
    char line[LINE_MAX_];
    n = n < sizeof line ? n : sizeof line - 1;
    memcpy(line, text, n);
    line[n] = '\0';
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct kernel_entry e = { 0 };
        if (!kinds[i](line, &e))
            continue;
        *ret = e;
        return true;
    }
    return false;
}

/* ---- the log ---- */

/* The log counts from the boot on. */
static int64_t boot_ns(void)
{
    struct timespec wall = { 0 }, up = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_MONOTONIC, &up);
    return ((int64_t)wall.tv_sec - up.tv_sec) * 1000000000 + wall.tv_nsec - up.tv_nsec;
}

/* "6,339,5140900,-;the text\n KEY=value\n" */
static void take_record(char *record, int64_t boot, int64_t since_ns, kernel_fn *fn, void *ctx)
{
    struct kernel_entry e;
    char *text = strchr(record, ';'), *time = strchr(record, ',');
    time = time ? strchr(time + 1, ',') : NULL;
    if (!text || !time)
        return;
    int64_t at = boot + strtoll(time + 1, NULL, 10) * 1000;
    if (at < since_ns || !kernel_entry_parse(text + 1, strcspn(text + 1, "\n"), &e))
        return;
    e.at_ns = at;
    fn(ctx, &e);
}

fallible kernel_log_read(int64_t since_ns, kernel_fn *fn, void *ctx)
{
    char record[RECORD_MAX];
    int64_t boot = boot_ns();
    own_fd int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "read the kernel's log");
    for (;;) {
        ssize_t n = read(fd, record, sizeof record - 1);
        if (n < 0 && errno == EPIPE) /* what was to be read has been written over: the next one is there */
            continue;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return err_sys(errno, "read the kernel's log");
        if (n <= 0)
            return NULL;
        record[n] = '\0';
        take_record(record, boot, since_ns, fn, ctx);
    }
}
