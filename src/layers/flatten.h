/*
 * flatten.h: what overlayfs shows, made as plain files: for the vfs storage driver, where nothing can be mounted.
 *
 * Copies keep owner, mode, time, attributes and hard links; their bytes share extents with the layer's where the file
 * system can (FICLONE), else they are copied. The caller is root, really or in a user namespace.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_FLATTEN_H
#define HUSK_LAYERS_FLATTEN_H

#include "base/err.h"
#include "base/mem.h"

/* The layers, topmost first, over each other into an empty directory: whiteouts and opaque directories are carried out,
 * and leave no trace. Devices that this process may not make are left out, as unpacking does. */
fallible flatten(const struct strv *lowers, const char *dir);
/* The same into an overlay upper directory over other layers (below), of which it hides what the layers together hide:
 * a file that is gone is a character device 0:0, and a directory that is in another thing's place is opaque. */
fallible flatten_over(const struct strv *lowers, const struct strv *below, const char *upper);
/**
 * flatten_compare - what is different in a copy, as an overlay upper directory.
 * @base: what flatten() made; @changed: the same after somebody worked in it; @upper: an empty directory on the same
 * file system, which gets hard links to what is new and character devices 0:0 for what is gone. A file is the same when
 * its kind, mode, owner, size, modification time and attributes are.
 * @names: and when it has no more names than before, as overlayfs would have copied it up; only where nobody else
 * compares the copy at the same time, whose hard links would count.
 */
fallible flatten_compare(const char *base, const char *changed, const char *upper, bool names);

#endif
