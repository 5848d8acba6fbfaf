/*
 * images_history.h: names that images had: what podman's `images --history` shows beside those that they have. The
 * store keeps no names that are gone; the events do (engine/events.h), since the boot and as far as they go back.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGES_HISTORY_H
#define HUSK_CLI_IMAGES_HISTORY_H

#include "engine/image_rows.h"

/* {"sha256:...": ["docker.io/library/a:1", ...]}, newest first. */
fallible images_history(struct engine *e, json_t **ret);
/* A row's text: its name, what else its image is called in all of the rows, and what it was called. Caller frees. */
char *images_history_of(const json_t *history, const struct image_rows *all, const struct image_row *image);

#endif
