// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>

#include "engine/container_parts.h"

fallible container_kill(struct container *c, int signal)
{
    struct container_state s = { 0 };
    char number[12];
    TRY(container_state(c, &s));
    enum container_status status = s.status;
    container_state_clear(&s);
    if (status != CONTAINER_RUNNING && status != CONTAINER_PAUSED)
        return err_new(ERR_CONFLICT, "container '%s' is not running", c->row.name);
    TRY(runtime_kill(c->state_dir, signal, false));
    (void)snprintf(number, sizeof number, "%d", signal);
    container_say(c, "kill", "signal", number, NULL);
    return NULL;
}
