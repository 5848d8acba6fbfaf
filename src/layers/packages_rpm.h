/*
 * packages_rpm.h: the packages that an RPM database lists: rpmdb.sqlite, whose table Packages has a header for each.
 *
 * A header, all numbers big-endian:
 *   0 u32 entries n   4 u32 bytes of data m   8 n entries of 16: u32 tag, u32 type, u32 offset, u32 count   then m
 * bytes Source: rpm's docs/manual/format_header.md, and tags.md for the tags.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_PACKAGES_RPM_H
#define HUSK_LAYERS_PACKAGES_RPM_H

#include "base/err.h"
#include "layers/packages.h"

/* Adds what one header says; version: "[EPOCH:]VERSION-RELEASE". Bytes that are no header, and the keys that rpm lists
 * as packages, add nothing. */
void packages_read_rpm(struct packages *p, const void *header, size_t n);
/* All of a database: a regular file, read as it is and never written. CORRUPT. */
fallible packages_of_rpmdb(int fd, struct packages *p);

#endif
