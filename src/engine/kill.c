// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <stdlib.h>

#include "engine/container_parts.h"

enum { END_MS = 10000 };

/* KILL and its stop signal mean that it is to end, and to stay so; others may mean anything. As docker has it. */
static bool is_meant_to_end(const struct container_config *config, int signal)
{
    int stop = SIGTERM;
    if (config->stop_signal)
        err_ignore(signal_parse(config->stop_signal, &stop), "it was checked when the container was made");
    return signal == SIGKILL || signal == stop;
}

/* Without its error's text, which nobody reads here. */
static fallible state_now(const struct container *c, struct container_state *ret)
{
    TRY(container_state(c, ret));
    free(ret->error);
    ret->error = NULL;
    return NULL;
}

static bool is_running(const struct container_state *s)
{
    return s->status == CONTAINER_RUNNING || s->status == CONTAINER_PAUSED;
}

/* As docker's: who has killed a container may start or remove it, and it does not run then. A frozen process dies only
 * when it is thawed, and one in the middle of a slow read when that is over. */
static fallible await_end(struct container *c, const struct container_state *s)
{
    own_fd int pidfd = -1;
    bool gone = false;
    TRY(container_await(s, s->status == CONTAINER_PAUSED ? 0 : END_MS, &gone, &pidfd));
    return gone ? container_settle(c, pidfd) : NULL;
}

fallible container_kill(struct container *c, int signal)
{
    const struct container_config *config;
    struct container_state s = { 0 };
    char number[12];
    TRY(container_config(c, &config));
    TRY(state_now(c, &s));
    bool ends = config->restart && is_meant_to_end(config, signal);
    if (s.status == CONTAINER_CREATED || s.status == CONTAINER_EXITED || (s.status == CONTAINER_RESTARTING && !ends))
        return err_new(ERR_CONFLICT, "container '%s' is not running", c->row.name);
    if (ends) {
        TRY(container_mark_stopped(c));
        TRY(state_now(c, &s)); /* it may have ended, and its monitor wait, before the mark was there */
    }
    if (is_running(&s)) {
        container_note_sender(c, "kill", signal, 0, 0);
        TRY(runtime_kill(c->state_dir, signal, false));
    } else if (ends) {
        container_end_backoff(c);
    }
    (void)snprintf(number, sizeof number, "%d", signal);
    container_say(c, "kill", "signal", number, NULL);
    return is_running(&s) && signal == SIGKILL ? await_end(c, &s) : NULL;
}
