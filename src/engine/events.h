/*
 * events.h: what happened, chosen and completed: monitor/events.h gives lines, this gives those that a user asked for.
 *
 * Who writes an event may know only an ID (the monitor does); image and name are then those of the latest event of the
 * same container that had them, or of husk.db.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_EVENTS_H
#define HUSK_ENGINE_EVENTS_H

#include "codec/bind.h"
#include "engine/engine.h"

struct container;
/* An event (monitor/events.h), with more attributes: container_say(c, "kill", "signal", "9", NULL). */
void container_say(const struct container *c, const char *action, ...) __attribute__((sentinel));

struct events_wish {
    int64_t since_ns, until_ns; /* since 0: from now on, unless until is set; until 0: for ever */
    bool so_far;                /* end after the last one there is */
    int reader_fd;              /* where fn writes: a pipe that nobody reads any more ends it; -1: nowhere */
    const struct strv *filters; /* container, image, volume, network, pod, event, type, label ...: KEY=VALUE */
};
/* doc: docker's message, with status, id and from of older clients. Borrowed. */
typedef err *events_fn(void *ctx, const json_t *doc);
fallible engine_events(struct engine *e, const struct events_wish *w, events_fn *fn, void *ctx);

#endif
