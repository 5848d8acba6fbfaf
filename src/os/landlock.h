/*
 * landlock.h: a program that is about to read strangers' bytes gives up the rest of the file system first.
 * Source: landlock(7), the kernel's userspace-api/landlock.rst.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_LANDLOCK_H
#define HUSK_OS_LANDLOCK_H

#include <stddef.h>

#include "base/err.h"

enum landlock_access { LANDLOCK_READ, LANDLOCK_READ_WRITE };
struct landlock_path {
    int fd;           /* O_PATH of a directory or file, or -1: path */
    const char *path; /* not there: passed over */
    enum landlock_access access;
};
/**
 * landlock_confine - from now on this process and its children reach only what lies beneath these paths, run no other
 * program, and accept no TCP connections. Descriptors that are open stay usable. For ever.
 * Call before threads exist. *ret_done false: this kernel has no Landlock (or one before 5.19, which could not rename
 * between directories) and nothing was confined.
 */
fallible landlock_confine(const struct landlock_path *paths, size_t n, bool *ret_done);

#endif
