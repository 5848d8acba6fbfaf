/*
 * window.h: what a zstd decoder looks back into, which a layer's packer chose to be up to 128 MiB (`zstd --long`, -22).
 * What is larger than every reader is asked to have in memory (8 MiB: RFC 8878, 3.1.1.1.2) is a mapped nameless file
 * of the store's: the kernel can write its pages out, and only few of them are mapped at a time. So several such layers
 * side by side take no more memory than others.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_WINDOW_H
#define HUSK_CODEC_WINDOW_H

#include <stddef.h>

#include "base/err.h"

struct window;
struct window *window_new(void);
/* After the decoder whose memory it is. */
void window_free(struct window *w);
OWN_TYPE(window, struct window *, window_free)

/* From now on a large window is in a file of this folder (its descriptor is copied); without one it is in memory, and
 * likewise where the folder's file system has no nameless files. */
void window_in(struct window *w, int dir_fd);
/* What the decoder allocates with: the context is the window. NULL: no memory, or no room for the file. */
void *window_alloc(void *window, size_t bytes);
void window_release(void *window, void *memory);
/* So many bytes have come out: now and then what is mapped is let go of; its contents stay. */
void window_used(struct window *w, size_t bytes);
/* Why there was no room: EXHAUSTED. NULL: there was. */
fallible window_problem(const struct window *w);

#endif
