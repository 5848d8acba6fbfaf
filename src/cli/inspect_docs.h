/*
 * inspect_docs.h: what `inspect` shows, in docker's shape.
 * Source: Docker Engine API 1.50, ContainerInspectResponse, ImageInspect, Volume.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_INSPECT_DOCS_H
#define HUSK_CLI_INSPECT_DOCS_H

#include "engine/container.h"

fallible inspect_container(struct container *c, json_t **ret);
fallible inspect_image(struct layout *layout, const struct image *image, json_t **ret);
json_t *inspect_volume(const struct engine *e, const struct db_volume *v);
/* One after the other: as a JSON array, or each through a template. */
fallible inspect_print(const json_t *docs, const char *format);

#endif
