// SPDX-License-Identifier: GPL-2.0-or-later
#include <limits.h>
#include <signal.h>

#include "engine/container_parts.h"

enum { STOP_TIMEOUT_S = 10 };

static fallible stop_signal(const struct container_config *config, int *ret)
{
    *ret = SIGTERM;
    return config->stop_signal ? signal_parse(config->stop_signal, ret) : NULL;
}

static int timeout_ms(const struct container_config *config, const struct stop_options *o)
{
    int64_t s = o->timeout_s.set ? o->timeout_s.v : config->stop_timeout.set ? config->stop_timeout.v : STOP_TIMEOUT_S;
    return s < 0 ? -1 : s > INT_MAX / 1000 ? INT_MAX : (int)(s * 1000);
}

/* A process that ended between the look and the signal is what was wanted. */
static fallible send_one(struct container *c, const struct stop_options *o, int signal, int first_signal,
                         int64_t waited_s)
{
    container_note_sender(c, o->verb ? o->verb : "stop", signal, first_signal, waited_s);
    err *e = runtime_kill(c->state_dir, signal, false);
    if (err_is(e, ERR_NOT_FOUND) || err_is(e, ERR_CONFLICT)) {
        err_free(e);
        return NULL;
    }
    return e;
}

static fallible stop_running(struct container *c, const struct container_state *s, const struct stop_options *o)
{
    const struct container_config *config;
    own_fd int pidfd = -1;
    bool gone = false;
    int signal;
    TRY(container_config(c, &config));
    TRY(stop_signal(config, &signal));
    if (o->signal)
        signal = o->signal;
    int patience = s->waits ? 0 : timeout_ms(config, o); /* what waits to be the program hears no other signal */
    if (s->status == CONTAINER_PAUSED) {                 /* a frozen process receives nothing */
        TRY(send_one(c, o, signal, 0, 0));
        TRY(runtime_resume(c->state_dir));
    } else if (patience != 0) {
        TRY(send_one(c, o, signal, 0, 0));
    }
    TRY(container_await(s, patience, &gone, &pidfd));
    if (!gone) {
        TRY(send_one(c, o, SIGKILL, patience ? signal : 0, patience / 1000));
        close_now(&pidfd);
        TRY(container_await(s, -1, &gone, &pidfd));
    }
    TRY(container_settle(c, pidfd));
    container_say(c, "stop", NULL);
    return NULL;
}

static fallible stop_marked(struct container *c, const struct stop_options *o)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    err *e = NULL;
    if (s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED)
        e = stop_running(c, &s, o);
    container_state_clear(&s);
    return e;
}

/* And nothing will start it again: neither its policy nor whoever finds that its monitor was killed (mend.c). */
static fallible has_ended(const struct container *c, bool *ret)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    *ret = (s.status == CONTAINER_CREATED || s.status == CONTAINER_EXITED) && !s.restart_ns &&
           container_restarts_running(c) == 0;
    container_state_clear(&s);
    return NULL;
}

/* With a restart policy the mark is set first and the lock held until the end, so that no restart slips in between. It
 * is looked at with the lock held: in the middle of a restart it seems to have ended. */
fallible container_stop(struct container *c, const struct stop_options *o)
{
    bool locked = c->lock_fd >= 0, ended = false;
    if (!container_may_restart(c))
        return stop_marked(c, o);
    TRY(container_lock(c));
    err *e = has_ended(c, &ended);
    if (e || ended) {
        if (!locked)
            container_unlock(c);
        return e;
    }
    TRY(container_mark_stopped(c));
    TRY(stop_marked(c, o));
    container_end_backoff(c);
    if (o->stays_wanted)
        container_unmark_stopped(c);
    if (!locked)
        container_unlock(c);
    return NULL;
}

/* The lock is held all the while, so that nobody removes a --rm container that has stopped only for this. */
fallible container_restart(struct container *c, const struct stop_options *o)
{
    TRY(container_lock(c));
    struct stop_options how = *o;
    how.verb = "restart";
    TRY(container_stop(c, &how));
    TRY(container_start(c, NULL));
    container_say(c, "restart", NULL);
    return NULL;
}
