/*
 * image_copy.h: commands of husk-image that are below `husk image`.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_COPY_H
#define HUSK_CLI_IMAGE_COPY_H

#include "base/opt.h"

extern const struct command cmd_image_serve, cmd_image_sign, cmd_image_verify, cmd_image_key, cmd_image_admit;

#endif
