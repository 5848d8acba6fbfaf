/*
 * diff_make.h: the tar of layers/diff.h entry by entry: by a walk over the upper directory, or told by who fills that
 * directory and has the files' bytes at hand, so that nothing is read again. Both make the same bytes.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_DIFF_MAKE_H
#define HUSK_LAYERS_DIFF_MAKE_H

#include <sys/stat.h>

#include "layers/diff.h"

struct diff_maker;
/* d and ctx: borrowed for its life. */
struct diff_maker *diff_maker_new(const struct diff *d, diff_write *write, void *ctx);
void diff_maker_free(struct diff_maker *m);
OWN_TYPE(diff_maker, struct diff_maker *, diff_maker_free)

fallible diff_maker_add(struct diff_maker *m, const struct diff_made *made);
/* Behind the last entry. */
fallible diff_maker_end(struct diff_maker *m);

#endif
