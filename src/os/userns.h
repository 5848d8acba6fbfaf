/*
 * userns.h: an ordinary user as root of a user namespace of their own, for work on the store (unpacking, removing files
 * that belong to subordinate ids). Containers make their own namespaces in runtime/.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_USERNS_H
#define HUSK_OS_USERNS_H

#include "base/err.h"

/* True when this process may act as root on its own files: really, or in a user namespace (ids_is_root()). */
bool userns_is_root(void);
/* Becomes root of a new user namespace (maps of ids_rootless_maps()) and of a private mount namespace. Nothing to do
 * when already root. Must be called before any thread exists. Errors: DENIED with the kernel's or the admin's cure. */
fallible userns_enter(void);
/* Runs fn in a child that has entered as above, and answers its error. For root: a plain call. */
fallible userns_call(err *(*fn)(void *ctx), void *ctx);
/* Runs fn in a child that is root of that user namespace, which must be ours or below one of ours. */
fallible userns_call_in(int user_fd, err *(*fn)(void *ctx), void *ctx);

#endif
