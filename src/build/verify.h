/*
 * verify.h: --verify: is what was built again the same as an image that is here, and if not, where does it differ
 * first?
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_VERIFY_H
#define HUSK_BUILD_VERIFY_H

#include "build/state.h"

/* @id: the config's digest of what was built. CONFLICT: the first file that differs, and in what. */
fallible build_verify(struct layout *l, const struct image *image, const struct build_state *built, const char *id);

#endif
