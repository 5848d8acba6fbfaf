/*
 * pipe.h: a layer is unpacked while its blob arrives: fetched, hashed, inflated, hashed and made into files at the same
 * time. The blob's file in staging is the buffer (image/follow.h): an unpacker that is slower does not hold up the
 * network, and a transfer that was cut off goes on by a range in another run.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_PIPE_H
#define HUSK_LAYERS_PIPE_H

#include "image/follow.h"
#include "layers/unpack.h"

/* Gets the blob into the store, by as many attempts as it takes, and tells f of each. */
typedef err *pipe_fetch(void *ctx, struct follow *f);

/**
 * pipe_run - fetch and unpack side by side.
 * @u: without source and admit. Its layer is visible when blob and diffID are right and the blob is in the store.
 * Errors: those of the fetch; where that was good, those of layer_unpack(). Without a second thread the layer is
 * unpacked after it was fetched.
 */
fallible pipe_run(struct layout *l, const struct unpack *u, pipe_fetch *fetch, void *ctx);

#endif
