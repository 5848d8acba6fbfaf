/*
 * depend.h: the containers that depend on another, as podman counts: they are in one of its namespaces, or are started
 * after it (--requires), as the members of a pod are in and after its infra.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_DEPEND_H
#define HUSK_ENGINE_DEPEND_H

#include "engine/container.h"

/* IDs of all that depend on it, however indirectly, each before what it depends on itself; the container is the last.
 */
fallible container_dependents(struct engine *e, const char *id, struct strv *ret);
/* The answers of container_removal() about them all, before anything is touched: CONFLICT when one runs. */
fallible container_may_go_with(struct engine *e, const struct strv *ids, bool force);
/* container_remove(); an infra goes with its pod. */
fallible container_remove_any(struct container *c, const struct remove_options *o);

#endif
