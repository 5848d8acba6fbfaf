/*
 * image_embedded.h: the image that is built into husk-image: one layer, one static program that prints how it is
 * isolated. With it a first `husk run` needs no network.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_EMBEDDED_H
#define HUSK_CLI_IMAGE_EMBEDDED_H

#include "image/layout.h"

#define EMBEDDED_NAME "localhost/hello:latest"

/* Nothing to do when it is there already. Within layout_begin_adding(). */
fallible embedded_load(struct layout *l);

#endif
