/*
 * link.h: docker's --link: what one container alone calls another.
 *
 * The resolver answers it, as long as both are on one network, whenever the other is connected (dns/names.h). On the
 * default network the program also gets environment variables with the other's address, ports and environment, as they
 * are when it starts: so the other one must run by then. Source: docs.docker.com, "Legacy container links".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_LINK_H
#define HUSK_ENGINE_LINK_H

#include "engine/container_parts.h"
#include "spec/oci_runtime.h"

/* "CONTAINER[:ALIAS]" -> "ID:ALIAS". NOT_FOUND, INVALID. Caller frees. */
fallible link_read(struct engine *e, const char *text, char **ret);
/* Before a start: the variables. CONFLICT when one on the default network does not run. */
fallible link_environment(struct container *c, struct oci_spec *spec);
/* One more, of a container that is there. */
fallible link_add(struct container *c, const char *text);

#endif
