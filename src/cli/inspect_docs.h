/*
 * inspect_docs.h: what `inspect` shows, in docker's shape.
 * Source: Docker Engine API 1.50, ContainerInspectResponse, ImageInspect, Volume.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_INSPECT_DOCS_H
#define HUSK_CLI_INSPECT_DOCS_H

#include "engine/container.h"
#include "engine/network.h"
#include "engine/secret.h"

fallible inspect_container(struct container *c, json_t **ret);
fallible inspect_image(struct layout *layout, const struct image *image, json_t **ret);
/* Without the secret itself. */
json_t *inspect_secret(const struct secret *s);
json_t *inspect_volume(const struct engine *e, const struct db_volume *v);
fallible inspect_network(struct engine *e, const struct network *n, json_t **ret);
/* A container's NetworkSettings, and its ports as they were asked for. */
fallible inspect_container_network(struct container *c, json_t **ret, json_t **ret_bindings);
/* Ports of the container's that are exposed or published: {"80/tcp": [{"HostIp": ..., "HostPort": ...}]}. */
json_t *inspect_ports(const struct container_config *config, const struct db_ports *ports, bool connected);
/* For template_render(): the values of fields that docker has and @doc, a container or an image, leaves out; or NULL.
 */
json_t *inspect_zeros(const json_t *doc);
/* One after the other: as a JSON array, or each through a template. Also when some were not there, as docker does:
 * take_missing, what went wrong with those or NULL, is answered then. */
fallible inspect_print(const json_t *docs, const char *format, err *take_missing);

#endif
