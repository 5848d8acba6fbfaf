/*
 * pod_parts.h: what engine/pod*.c share with the making of containers.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_POD_PARTS_H
#define HUSK_ENGINE_POD_PARTS_H

#include "engine/pod.h"

/* Where husk-init is in an infra; no member gets this mount. */
#define POD_HOLDER "/run/husk-pause"
/* ctx is a struct pod: adds its row, within the transaction that adds its infra's. */
err *pod_add_row(void *ctx);
extern const struct bind_type pod_config_type;
/* Of a pod to be: the name that was asked for, checked, or two random words. Caller frees. */
fallible pod_name(struct engine *e, const char *wish, char **ret);
/* A name that a pod has: EXISTS. */
fallible pod_name_is_free(struct db *db, const char *name);
/* Whether *o limits anything that a pod's control group can limit. */
bool pod_says_limits(const struct create_options *o);
/* A new one's ID and time of making. */
void pod_begin(struct engine *e, struct pod *p);
/* An event about it: podman's words. */
void pod_say(const struct pod *p, const char *action);

#endif
