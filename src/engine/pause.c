// SPDX-License-Identifier: GPL-2.0-or-later
/* Freezing needs a control group: an ordinary user has one where the host delegates some. */
#include "engine/container_parts.h"

static fallible freeze(struct container *c, enum container_status from, const char *act)
{
    struct container_state s = { 0 };
    bool pause = from == CONTAINER_RUNNING;
    TRY(container_state(c, &s));
    enum container_status status = s.waits ? CONTAINER_CREATED : s.status;
    container_state_clear(&s);
    if (status != from && (status == CONTAINER_RUNNING || status == CONTAINER_PAUSED))
        return err_new(ERR_CONFLICT, "container '%s' is %s", c->row.name, pause ? "paused already" : "not paused");
    if (status != from)
        return err_new(ERR_CONFLICT, "container '%s' is not running", c->row.name);
    err *e = pause ? runtime_pause(c->state_dir) : runtime_resume(c->state_dir);
    if (err_is(e, ERR_UNSUPPORTED) || err_is(e, ERR_DENIED)) {
        err_free(e);
        return err_new(ERR_UNSUPPORTED,
                       "container '%s' was started without control groups to freeze it by: "
                       "run it as root, or where systemd delegates some to users",
                       c->row.name);
    }
    TRY(e);
    container_say(c, act, NULL);
    return NULL;
}

fallible container_pause(struct container *c)
{
    return freeze(c, CONTAINER_RUNNING, "pause");
}

fallible container_unpause(struct container *c)
{
    return freeze(c, CONTAINER_PAUSED, "unpause");
}
