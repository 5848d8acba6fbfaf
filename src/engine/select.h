/*
 * select.h: which containers a command is about: those that are named, or all, the latest, those that filters let
 * through, those whose IDs are in files.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_SELECT_H
#define HUSK_ENGINE_SELECT_H

#include "engine/container.h"

struct container_selection {
    bool all, latest;
    bool ignore; /* names that nobody has are passed over */
    struct strv cidfile, filter;
};
/* What "all" means to the command. */
enum select_among { SELECT_ALL, SELECT_RUNNING, SELECT_PAUSED, SELECT_NOT_RUNNING };
/**
 * container_select - names and IDs, in the order in which they are to be worked on; each once.
 * Errors: INVALID when nothing was said at all, or names and --all together; NOT_FOUND for --latest without containers.
 */
fallible container_select(struct engine *e, const struct container_selection *s, enum select_among among,
                          char *const *names, size_t n, struct strv *ret);

#endif
