/*
 * repack.h: an image of the store, its layers packed otherwise and its manifest to match. What is packed anew lies in
 * files without a name; what is unpacked is unpacked while it is sent.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_TRANSPORT_REPACK_H
#define HUSK_TRANSPORT_REPACK_H

#include "transport/transport.h"

enum repack_layers { REPACK_AS_THEY_ARE, REPACK_GZIP, REPACK_PLAIN, REPACK_ZSTD };
/* REPACK_DOCKER: Docker's schema 2; it knows no zstd, so such layers become gzip. REPACK_SAME_FORM with REPACK_ZSTD
 * makes an OCI manifest for that reason. */
enum repack_manifest { REPACK_SAME_FORM, REPACK_DOCKER, REPACK_OCI };
struct repack {
    enum repack_layers layers;
    enum repack_manifest form;
    int level;  /* as packer_new()'s; 0: its default */
    bool force; /* layers that are packed so already are packed anew as well */
};
/* INVALID: no such level; REPACK_ZSTD with REPACK_DOCKER. */
fallible source_repacked(struct source *take_inner, struct layout *l, const struct repack *how, struct source **ret);
/* One platform's image of the store, with the name that it was found by. */
fallible source_image(struct layout *l, const struct image *image, struct source **ret);

/**
 * source_list_repacked - an index with its images packed otherwise; what is no image of tar layers stays as it is.
 * @how: for those that are in it.
 * @add: besides, each platform's image packed so, marked as podman does (io.github.containers.compression.zstd);
 *       a platform that has one already gets none. REPACK_GZIP and REPACK_ZSTD.
 */
fallible source_list_repacked(struct source *take_inner, struct layout *l, const struct repack *how,
                              const enum repack_layers *add, size_t add_n, struct source **ret);

#endif
