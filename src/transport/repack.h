/*
 * repack.h: an image of the store, its layers packed otherwise and its manifest to match. What is packed anew lies in
 * files without a name; what is unpacked is unpacked while it is sent.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_TRANSPORT_REPACK_H
#define HUSK_TRANSPORT_REPACK_H

#include "transport/transport.h"

enum repack_layers { REPACK_AS_THEY_ARE, REPACK_GZIP, REPACK_PLAIN };
/* REPACK_DOCKER: Docker's schema 2; it knows no zstd, so such layers become gzip. */
enum repack_manifest { REPACK_SAME_FORM, REPACK_DOCKER };
fallible source_repacked(struct source *take_inner, struct layout *l, enum repack_layers layers,
                         enum repack_manifest form, struct source **ret);
/* One platform's image of the store, with the name that it was found by. */
fallible source_image(struct layout *l, const struct image *image, struct source **ret);

#endif
