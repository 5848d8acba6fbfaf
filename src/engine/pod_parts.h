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
/* An event about it: podman's words. */
void pod_say(const struct pod *p, const char *action);

#endif
