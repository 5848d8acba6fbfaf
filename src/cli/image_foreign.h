/*
 * image_foreign.h: husk import --from: images of another engine's store.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_FOREIGN_H
#define HUSK_CLI_IMAGE_FOREIGN_H

#include "base/opt.h"

extern const char *const import_engines[];

struct foreign_wish {
    const char *from, *root, *policy; /* root, policy: or NULL */
    bool all, packed;
};
/* Without names and --all: lists them. */
fallible import_foreign(const struct foreign_wish *wish, struct args names);

#endif
