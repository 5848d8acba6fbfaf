// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A monitor that was killed leaves a container that runs without one, or one that ended and nobody wrote down how, or
 * one that nobody starts again. The next command that touches the container mends that first, so all that follows sees
 * a container like any other. To find out that there is nothing to mend costs an open and a flock.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/container_parts.h"
#include "monitor/monitor.h"
#include "monitor/restart.h"

/* There was a monitor, and it is gone; or a restart was to make one and was killed itself: it has left its count. A
 * start that is under way looks like that too, but holds the container's lock. */
static bool has_lost_monitor(const struct container *c)
{
    own_mem char *path = mem_printf("%s/monitor.lock", c->state_dir);
    own_fd int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW); /* musl's open() is two calls */
    if (fd >= 0)
        return flock(fd, LOCK_SH | LOCK_NB) == 0;
    return errno == ENOENT && container_restarts_running(c) > 0;
}

static bool has_record(const struct container *c)
{
    own_mem char *path = mem_printf("%s/exit.json", c->dir), *state_path = mem_printf("%s/exit.json", c->state_dir);
    return access(path, F_OK) == 0 || access(state_path, F_OK) == 0;
}

/* By others that work in it it is left alone: they see to it. */
static bool lock_at_once(struct container *c)
{
    if (c->lock_fd >= 0)
        return false;
    own_fd int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return false;
    c->lock_fd = take_fd(&fd);
    return true;
}

/* Its monitor was killed too, so nobody has asked its policy. */
static fallible ask_policy(struct container *c)
{
    own(monitor_exit) struct monitor_exit *x = NULL;
    struct restart restart = { 0 };
    int64_t before = container_restarts_running(c);
    if (!container_may_restart(c) || container_was_stopped(c))
        return NULL;
    TRY(monitor_exit_read(c->dir, &x));
    TRY(restart_parse(c->config->restart, &restart));
    if (!restart_wanted(&restart, x->exit_code, before))
        return NULL;
    x->restart_count = before;
    x->restart_delay_ns = restart_delay_ns(0, 0);
    x->restart_ns = x->finished_ns + x->restart_delay_ns;
    TRY(monitor_exit_write(c->dir, x));
    return container_restart_again(c);
}

static fallible mend_locked(struct container *c)
{
    own(runtime_state) struct runtime_state *r = NULL;
    if (!has_lost_monitor(c)) /* another has mended it before we had the lock */
        return NULL;
    if (has_record(c)) /* what is left of it can only be a restart that did not come: its monitor waited for it */
        return container_may_restart(c) ? container_restart_again(c) : NULL;
    err_ignore(runtime_state_read(c->state_dir, &r), "none: the start did not come so far");
    if (r && (r->status == RUNTIME_CREATED || r->status == RUNTIME_RUNNING || r->status == RUNTIME_PAUSED))
        return container_adopt(c);
    TRY(container_forget_cgroup(c));
    TRY(container_settle(c, -1));
    return ask_policy(c);
}

void container_mend(struct container *c)
{
    if (!has_lost_monitor(c) || (has_record(c) && !container_may_restart(c)) || !lock_at_once(c))
        return;
    err *e = mend_locked(c);
    if (e)
        log_debug("container %.12s: its monitor is gone: %s", c->row.id, err_text(e));
    err_free(e);
    container_unlock(c);
}
