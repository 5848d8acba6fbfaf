/*
 * settle.h: what a step makes goes to the disk while it is still being made. A layer is synced before it has its name;
 * begun only then, the disk would stand idle while files are copied and packed, and the step would wait for all of it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_SETTLE_H
#define HUSK_BUILD_SETTLE_H

#include "base/own.h"

/* So many new files are worth a sync of their own. */
enum { SETTLE_FILES = 2048 };
struct settle;
/* fd: on the file system; borrowed for the settle's life. No thread is begun yet. */
struct settle *settle_new(int fd);
/* There is much that is new: a thread begins to write it. Comes back at once. s may be NULL. A failure is the later
 * syncfs(2)'s to tell. */
void settle_some(struct settle *s);
/* Waits for what is under way. */
void settle_free(struct settle *s);
OWN_TYPE(settle, struct settle *, settle_free)

#endif
