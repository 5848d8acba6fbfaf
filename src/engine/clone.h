/*
 * clone.h: parts of container_create() when create_options.clone_of is set (podman's container clone).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CLONE_H
#define HUSK_ENGINE_CLONE_H

#include "engine/container.h"

/* c->config of o->clone_of's, with the limits of *o over it and the layers of the image, unless that is NULL.
 * CONFLICT for one that holds a pod's namespaces, unless for another pod. */
fallible clone_configure(struct container *c, const struct create_options *o, const struct image *image);
/* "NAME-clone", "NAME-clone1" ...: the first that no container has. Caller frees. */
fallible clone_name(struct engine *e, const char *name, char **ret);
/* Its networks and ports, as rows to be; without fixed addresses, which only one can have. */
fallible clone_networks(const struct container *from, struct network_wishes *ret);

#endif
