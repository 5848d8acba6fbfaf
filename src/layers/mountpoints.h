/*
 * mountpoints.h: a layer below all others, with the directories and files that a start mounts something on.
 *
 * Most images have no /etc/hosts or /proc. Making them in each container's writable layer means copying /etc up,
 * making files and removing all of it again. In a layer at the bottom, one for the whole store, they are made once;
 * whatever an image brings lies on top of them. docs/design/start.md has what that saves.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_MOUNTPOINTS_H
#define HUSK_LAYERS_MOUNTPOINTS_H

#include "image/layout.h"

/* Its path, "<store>/mountpoints"; made when it is not there. Caller frees. */
fallible mountpoints_path(struct layout *l, char **ret);

#endif
