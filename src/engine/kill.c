// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>

#include "engine/container_parts.h"

/* KILL and its stop signal mean that it is to end, and to stay so; others may mean anything. As docker has it. */
static bool is_meant_to_end(const struct container_config *config, int signal)
{
    int stop = SIGTERM;
    if (config->stop_signal)
        err_ignore(signal_parse(config->stop_signal, &stop), "it was checked when the container was made");
    return signal == SIGKILL || signal == stop;
}

static fallible status_now(const struct container *c, enum container_status *ret)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    *ret = s.status;
    container_state_clear(&s);
    return NULL;
}

fallible container_kill(struct container *c, int signal)
{
    const struct container_config *config;
    enum container_status status;
    char number[12];
    TRY(container_config(c, &config));
    TRY(status_now(c, &status));
    bool ends = config->restart && is_meant_to_end(config, signal);
    if (status == CONTAINER_CREATED || status == CONTAINER_EXITED || (status == CONTAINER_RESTARTING && !ends))
        return err_new(ERR_CONFLICT, "container '%s' is not running", c->row.name);
    if (ends) {
        TRY(container_mark_stopped(c));
        TRY(status_now(c, &status)); /* it may have ended, and its monitor wait, before the mark was there */
    }
    if (status == CONTAINER_RUNNING || status == CONTAINER_PAUSED) {
        container_note_sender(c, "kill", signal, 0, 0);
        TRY(runtime_kill(c->state_dir, signal, false));
    } else if (ends) {
        container_end_backoff(c);
    }
    (void)snprintf(number, sizeof number, "%d", signal);
    container_say(c, "kill", "signal", number, NULL);
    return NULL;
}
