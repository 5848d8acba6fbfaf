/*
 * progress.h: how far the layers of an image are, told by who works on them to who shows it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_PROGRESS_H
#define HUSK_LAYERS_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

enum progress_state {
    PROGRESS_WAITING,
    PROGRESS_DOWNLOADING,
    PROGRESS_EXTRACTING,
    PROGRESS_DONE,
    PROGRESS_EXISTS, /* was here already */
    PROGRESS_PUSHING,
    PROGRESS_PUSHED,
    PROGRESS_REMOTE,  /* was in the registry already */
    PROGRESS_MOUNTED, /* was in another repository of the registry, which shares it now */
};

/* All functions may be called from several threads at once. A zeroed struct shows nothing. */
struct progress {
    void *ctx;
    /* Before any layer: how many there are, and the first 12 digits of each one's digest. */
    void (*begin)(void *ctx, size_t layers, const char *const *ids);
    /* done of total bytes; total 0: not known. */
    void (*layer)(void *ctx, size_t layer, enum progress_state state, int64_t done, int64_t total);
    /* A line of text, as docker prints: "latest: Pulling from library/busybox". */
    void (*line)(void *ctx, const char *text);
};

#endif
