/*
 * listing.h: the names in a folder, read once, for who asks after many of them: a question costs tens of nanoseconds
 * then, and by faccessat(2) a microsecond or more.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_LISTING_H
#define HUSK_OS_LISTING_H

#include "base/err.h"

struct listing;
/* A folder that is not there has no names. */
fallible listing_read(int dir_fd, const char *path, struct listing **ret);
bool listing_has(const struct listing *l, const char *name);
void listing_free(struct listing *l);
OWN_TYPE(listing, struct listing *, listing_free)

#endif
