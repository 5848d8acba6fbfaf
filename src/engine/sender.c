// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel tells a parent by which signal its child died, never who sent it. What husk sends it therefore notes,
 * beforehand, beside the exit record: who it was, and for whom. A signal from anywhere else has no such note.
 */
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "os/fs.h"

enum { SENDER_MAX = 4096 };

#define T struct container_sender
static const struct bind_field sender_fields[] = {
    BIND_STR(T, verb, "verb", .flags = BIND_REQUIRED),
    BIND_I64(T, signal, "signal", .flags = BIND_REQUIRED),
    BIND_I64(T, first_signal, "firstSignal"),
    BIND_I64(T, waited_s, "waitedSeconds"),
    BIND_I64(T, pid, "pid"),
    BIND_I64(T, uid, "uid", .flags = BIND_ALWAYS),
    BIND_STR(T, caller, "caller"),
    BIND_I64(T, at_ns, "atNs"),
    BIND_END,
};
#undef T
static const struct bind_type sender_type = { "sender", sizeof(struct container_sender), sender_fields, false };

void container_sender_free(struct container_sender *s)
{
    bind_free(&sender_type, s);
}

/* The name of the process that called husk: a shell, cron, a service. */
static char *caller_name(void)
{
    own_mem char *path = mem_printf("/proc/%d/comm", (int)getppid()), *text = NULL;
    err *e = fs_read_at(AT_FDCWD, path, 64, &text, NULL);
    err_ignore(e, "then without its name");
    if (text)
        text[strcspn(text, "\n")] = '\0';
    return take(text);
}

static fallible note(struct container *c, const struct container_sender *s)
{
    const char *dir;
    own_fd int dir_fd = -1;
    own_mem char *text = bind_write(&sender_type, s, BIND_COMPACT);
    TRY(container_record_dir(c, &dir));
    TRY(fs_open_dir_at(AT_FDCWD, dir, FS_MUST_EXIST, &dir_fd));
    return fs_replace_at(dir_fd, SENDER_FILE, text, strlen(text), 0600, FS_SYNC_NONE);
}

void container_note_sender(struct container *c, const char *verb, int signal, int first_signal, int64_t waited_s)
{
    struct timespec now = { 0 };
    own_mem char *caller = caller_name();
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct container_sender s = {
        .verb = (char *)(uintptr_t)verb,
        .signal = signal,
        .first_signal = first_signal,
        .waited_s = waited_s,
        .pid = getpid(),
        .uid = getuid(),
        .caller = caller,
        .at_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
    };
    err_ignore(note(c, &s), "on a full disk a container can be stopped all the same");
}

fallible container_sender(struct container *c, struct container_sender **ret)
{
    const char *dir;
    void *s = NULL;
    size_t len;
    own_mem char *text = NULL;
    TRY(container_record_dir(c, &dir));
    own_mem char *path = mem_printf("%s/" SENDER_FILE, dir);
    TRY(fs_read_at(AT_FDCWD, path, SENDER_MAX, &text, &len));
    TRY(bind_read(&sender_type, text, len, &s));
    *ret = s;
    return NULL;
}
