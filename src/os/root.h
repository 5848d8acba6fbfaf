/*
 * root.h: reach into a container's root without ever leaving it.
 *
 * Everything under the root is written by the container or its image and is not to be trusted: a path is only ever
 * opened through here, never joined as text and opened by name. Source: openat2(2), RESOLVE_IN_ROOT.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_ROOT_H
#define HUSK_OS_ROOT_H

#include <sys/types.h>

#include "base/err.h"

/**
 * root_open - open a path as the container would see it.
 * @root_fd: directory that is "/" for the path; borrowed.
 * @path:    absolute or relative to the root; ".." and links stop at the root, /proc's magic links are refused.
 * @flags:   O_* of open(2), without O_CREAT; O_CLOEXEC is always added.
 * @ret_fd:  set on success only; the caller closes it.
 *
 * Errors: NOT_FOUND, DENIED, INVALID (path too long), UNSUPPORTED (kernel before 5.6).
 */
fallible root_open(int root_fd, const char *path, int flags, int *ret_fd);

/* Opens the directory, making it and its parents (mode 0755 for those made) under the root when missing; behind a link
 * that leads nowhere, what it names inside the root. */
fallible root_mkdirs(int root_fd, const char *path, mode_t mode, int *ret_fd);

/* Makes an empty regular file (and its parents) when nothing is there; answers an O_PATH descriptor of what is. */
fallible root_touch(int root_fd, const char *path, mode_t mode, int *ret_fd);

/*
 * Splits into parent directory and last name, the parent opened (O_PATH) and made when missing: for calls that need
 * a name (mknodat, symlinkat, linkat, unlinkat). INVALID when the last name is empty, "." or "..".
 */
fallible root_parent(int root_fd, const char *path, int *ret_dir_fd, char **ret_name);

#endif
