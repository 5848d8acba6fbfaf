/*
 * image_manifest.h: the commands below `husk manifest`.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_MANIFEST_H
#define HUSK_CLI_IMAGE_MANIFEST_H

#include "base/opt.h"

extern const struct command cmd_manifest_add, cmd_manifest_annotate, cmd_manifest_create, cmd_manifest_push,
    cmd_manifest_remove;

/* A list's name as the store has it; a digest is none. Caller frees. */
fallible list_full_name(const char *text, char **ret);

#endif
