/*
 * image_places.h: "oci:DIR:REF", "ssh://host/REF" and their like, opened: what `husk copy` is given.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_PLACES_H
#define HUSK_CLI_IMAGE_PLACES_H

#include "base/err.h"

/* A directory to be written into: made when missing; one with other things in it than marker is refused. */
fallible place_make_dir(const char *path, const char *marker, int *ret_fd);

#endif
