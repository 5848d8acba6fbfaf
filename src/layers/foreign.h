/*
 * foreign.h: the store of another engine on this machine, read where it lies: podman's (containers/storage, overlay)
 * and docker's (overlay2, without the containerd image store).
 *
 *   podman  overlay-images/images.json, overlay-images/ID/ (the config, as "=" and base64 of its name),
 *           overlay-layers/layers.json, overlay-layers/ID.tar-split.gz, overlay/ID/diff/
 *   docker  image/overlay2/repositories.json, imagedb/content/sha256/ID (the config),
 *           layerdb/sha256/CHAIN/{cache-id,tar-split.json.gz}, overlay2/CACHE-ID/diff/
 *
 * Nothing is written there. Layers are put together by tarsplit.h and checked by their diffIDs. The packed layers that
 * came from a registry are in neither store, so the image's manifest is made anew; its ID stays. The records are kept,
 * so that the tars can be made again when the image is pushed or saved: layers/restore.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_FOREIGN_H
#define HUSK_LAYERS_FOREIGN_H

#include "image/layout.h"
#include "layers/unpack.h"

enum foreign_engine { FOREIGN_PODMAN, FOREIGN_DOCKER };

struct foreign_image {
    char *id; /* the config's digits */
    struct strv names;
    char *top; /* podman: the topmost layer */
};
struct foreign {
    enum foreign_engine engine;
    int root_fd;
    struct foreign_image *images;
    size_t n;
    json_t *layers; /* podman's */
};
/* @take_root_fd: "/var/lib/containers/storage", "/var/lib/docker". NOT_FOUND: no such store there. */
fallible foreign_open(enum foreign_engine engine, int take_root_fd, struct foreign **ret);
void foreign_free(struct foreign *f);
OWN_TYPE(foreign, struct foreign *, foreign_free)
/* By a name, an ID or the beginning of one. NOT_FOUND, CONFLICT. */
fallible foreign_find(const struct foreign *f, const char *what, const struct foreign_image **ret);

/**
 * foreign_take - an image into our store. Within layout_begin_adding().
 * @keep_packed: the layers' tars become blobs at once.
 * @origin: how files come; its counts grow. See layers/untar.h; fd is set here.
 * @ret_target: for layout_set_name(). Caller frees with import_target_free().
 */
fallible foreign_take(const struct foreign *f, const struct foreign_image *image, struct layout *l, bool keep_packed,
                      struct untar_origin *origin, struct oci_descriptor **ret_target);

#endif
