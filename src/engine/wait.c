// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/container_parts.h"
#include "monitor/attach.h"

/* The monitor tells the code to all who are connected, also of a --rm container whose record goes with its folder. */
static fallible hear_from_monitor(const struct container *c, bool *ret_heard, int *ret_code)
{
    own_fd int sock = -1;
    enum attach_end end;
    *ret_heard = false;
    err *e = attach_connect(c->state_dir, &sock);
    if (e) {
        err_ignore(e, "no monitor: the process itself is waited for");
        return NULL;
    }
    TRY(attach_run(&(struct attach){ .sock = sock, .no_stdout = true, .no_stderr = true, .detach_keys = "" }, &end,
                   ret_code));
    *ret_heard = end == ATTACH_EXITED;
    return NULL;
}

static fallible wait_running(struct container *c, const struct container_state *s, int *ret_code)
{
    struct container_state after = { 0 };
    own_fd int pidfd = -1;
    bool heard, gone;
    TRY(hear_from_monitor(c, &heard, ret_code));
    if (heard)
        return NULL;
    TRY(container_await(s, -1, &gone, &pidfd));
    TRY(container_settle(c, pidfd));
    TRY(container_state(c, &after));
    *ret_code = (int)after.exit_code;
    container_state_clear(&after);
    return NULL;
}

fallible container_wait(struct container *c, int *ret_code)
{
    struct container_state s = { 0 };
    err *e = NULL;
    TRY(container_state(c, &s));
    if (s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED)
        e = wait_running(c, &s, ret_code);
    else if (s.status == CONTAINER_CREATED && !s.error)
        e = err_new(ERR_CONFLICT, "container '%s' was never started", c->row.name);
    else
        *ret_code = (int)s.exit_code;
    container_state_clear(&s);
    return e;
}
