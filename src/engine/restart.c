// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Restart policies, the engine's half: the mark that a container was stopped by somebody, and the start that its
 * monitor asks for when the wait is over. The decision is the monitor's (monitor/backoff.h); here it is looked at again
 * with the container's lock held, so that a stop, a removal or another start that came meanwhile wins.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "monitor/attach.h"
#include "monitor/monitor.h"
#include "monitor/restart.h"
#include "os/fs.h"
#include "os/sock.h"

enum { ANSWER_MS = 2000 };
#define COUNT_FILE "restarts"

bool container_may_restart(struct container *c)
{
    const struct container_config *config;
    err *e = container_config(c, &config);
    bool may = !e && config->restart;
    err_ignore(e, "its own command will say so");
    return may;
}

bool container_was_stopped(const struct container *c)
{
    own_mem char *path = mem_printf("%s/" RESTART_STOPPED, c->dir);
    return access(path, F_OK) == 0;
}

fallible container_mark_stopped(struct container *c)
{
    TRY(container_lock(c));
    if (c->lock_fd < 0)
        return NULL;
    own_fd int fd = openat(c->lock_fd, RESTART_STOPPED, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? err_sys(errno, "write '%s/" RESTART_STOPPED "'", c->dir) : NULL;
}

void container_unmark_stopped(const struct container *c)
{
    if (c->lock_fd >= 0)
        (void)unlinkat(c->lock_fd, RESTART_STOPPED, 0);
}

/* The monitor looks at the mark when somebody connects; that it closes the connection is its answer. */
void container_end_backoff(struct container *c)
{
    own_fd int sock = -1;
    err *e = attach_connect(c->state_dir, &sock);
    if (e) {
        err_ignore(e, "nobody waits there");
        return;
    }
    struct pollfd p = { .fd = sock, .events = POLLIN };
    while (poll(&p, 1, ANSWER_MS) < 0 && errno == EINTR)
        ;
}

fallible container_note_restarts(const struct container *c, int64_t count)
{
    own_mem char *path = mem_printf("%s/" COUNT_FILE, c->state_dir), *text = mem_printf("%" PRId64 "\n", count);
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(errno, "write '%s'", path);
    return fs_write_fd(fd, text, strlen(text), path);
}

int64_t container_restarts(const struct container *c)
{
    own(monitor_exit) struct monitor_exit *x = NULL;
    err *e = monitor_exit_read(c->dir, &x);
    if (!e)
        return x->restart_count;
    err_ignore(e, "it runs");
    return container_restarts_running(c);
}

int64_t container_restarts_running(const struct container *c)
{
    own_mem char *path = mem_printf("%s/" COUNT_FILE, c->state_dir), *text = NULL;
    err *e = fs_read_at(AT_FDCWD, path, 64, &text, NULL);
    bool there = !e;
    err_ignore(e, "it was started by somebody");
    return there ? strtoll(text, NULL, 10) : 0;
}

fallible container_restart_again(struct container *c)
{
    own(monitor_exit) struct monitor_exit *x = NULL;
    const struct container_config *config;
    struct container_state s = { 0 };
    struct restart restart = { 0 };
    TRY(container_lock(c));
    TRY(container_config(c, &config));
    TRY(container_state(c, &s));
    enum container_status status = s.status;
    container_state_clear(&s);
    if (status == CONTAINER_RUNNING || status == CONTAINER_PAUSED || container_was_stopped(c))
        return NULL;
    TRY(monitor_exit_read(c->dir, &x));
    if (config->restart)
        TRY(restart_parse(config->restart, &restart));
    if (!x->restart_ns || !restart_wanted(&restart, x->exit_code, x->restart_count))
        return NULL;
    c->restarts = x->restart_count + 1;
    c->restart_delay_ns = x->restart_delay_ns;
    return container_start(c, NULL);
}

/* A monitor that runs is told; one that waits finds the mark, when nothing is to be waited for any more. */
fallible container_set_restart(struct container *c, const char *policy)
{
    struct restart restart;
    struct container_state s = { 0 };
    own_fd int sock = -1;
    TRY(restart_parse(policy, &restart));
    TRY(container_state(c, &s));
    enum container_status status = s.status;
    int64_t code = s.exit_code;
    container_state_clear(&s);
    if (status == CONTAINER_RUNNING || status == CONTAINER_PAUSED) {
        err *e = attach_connect(c->state_dir, &sock);
        if (e) {
            err_ignore(e, "without a monitor the configuration is what the next one reads");
            return NULL;
        }
        own_mem char *frame = mem_printf("%c%s", MONITOR_RESTART, policy);
        return sock_send(sock, frame, strlen(frame), NULL, 0);
    }
    if (status != CONTAINER_RESTARTING || restart_wanted(&restart, code, container_restarts(c)))
        return NULL;
    TRY(container_mark_stopped(c));
    container_end_backoff(c);
    return NULL;
}
