/*
 * restore.h: a layer's tar made again from its files, for images that came without it: those of another engine's
 * store (layers/foreign.h), which keeps none either.
 *
 *   layers/HEX/split    the tar-split record (layers/tarsplit.h) that the other engine had of the layer
 *
 * What comes out is checked by its digest, the layer's diffID, before it is a blob. Only husk-image links this.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_RESTORE_H
#define HUSK_LAYERS_RESTORE_H

#include "image/layout.h"

/* Keeps the record of a layer that is there. @record_fd: read from its beginning; borrowed. */
fallible restore_keep(struct layout *l, const char *diff_id, int record_fd);
/**
 * restore_open - a layer's blob, as layout_open_blob() opens it; made first where it is missing and its files and
 * record are there, or its tar as EROFS has it. Errors: NOT_FOUND: it was not kept, with the cure; CORRUPT: the files
 * are not what they were.
 */
fallible restore_open(struct layout *l, const char *digest, int64_t size, int *ret_fd);

/* Can a layer's plain tar be had from what is here, without its blob? */
bool restore_possible(struct layout *l, const char *diff_id);
/* That tar, piece by piece; what EROFS has is read where it is, and becomes no blob. */
fallible restore_send(struct layout *l, const char *diff_id, err *(*use)(void *ctx, const void *bytes, size_t n),
                      void *ctx);

#endif
