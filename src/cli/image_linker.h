/*
 * image_linker.h: hard links between another engine's store and ours, made by a small process that was started before
 * the program confined itself: a confined one may read the other store, and link nothing out of it (landlock(7),
 * REFER).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_LINKER_H
#define HUSK_CLI_IMAGE_LINKER_H

#include "base/err.h"

struct linker;
/* Before any thread. */
fallible linker_start(struct linker **ret);
/* For untar_origin.link: ctx is the linker. */
err *linker_link(void *ctx, int from_fd, int dir_fd, const char *name, bool *ret_done);
void linker_free(struct linker *l);
OWN_TYPE(linker, struct linker *, linker_free)

#endif
