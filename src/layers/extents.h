/*
 * extents.h: files of a new layer that equal a file of a layer in the store share its extents, where the file system
 * can (xfs with reflink, btrfs).
 *
 *   <store>/extents/<crc64>-<size>    a symbolic link, "HEX/path": a file of a layer that had these contents
 *
 * While a layer is unpacked its regular files of SHARED_MIN bytes and more are told to extents_add(), which costs a
 * CRC. When the layer is on disk, each is looked for in the index, and the kernel is asked to let the two share their
 * blocks. Whether they are equal the kernel alone decides, under both files' locks, byte by byte: neither the index
 * nor the CRC is believed, so a wrong entry costs time and never contents. What was not found is entered once the layer
 * is in place. The index only ever saves space: it may be removed at any time, what is missing in it is not shared, and
 * entries that lead nowhere go with a sweep of layers. When it was lost, or has entries that lead nowhere, it is made
 * anew from the layers' files (husk system check --repair). Source: ioctl_fideduperange(2).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_EXTENTS_H
#define HUSK_LAYERS_EXTENTS_H

#include "image/layout.h"
#include "layers/untar.h"

enum { EXTENTS_ENTRY_MAX = 64 + 1 + TAR_NAME_MAX + 1 };
enum { SHARED_MIN = 16 << 10, SHARED_FILES_MAX = 1 << 16 /* of one layer; the others are not shared */ };

struct extents;
/* NULL when the store's file system cannot share extents. */
struct extents *extents_new(struct layout *l);
void extents_free(struct extents *x);
OWN_TYPE(extents, struct extents *, extents_free)
/* What untar_from() tells of the files that it writes. */
const struct untar_watch *extents_watch(const struct extents *x);
/* The layer is complete and on disk. What fails is only not shared. */
void extents_share(struct extents *x, int fs_fd);
/* The layer has its name: its files can be found by the next ones. */
void extents_enter(struct extents *x, const char *diff_id);
/* A new index of all layers' files in the place of what is there. Reads all their larger files. */
fallible extents_rebuild(struct layout *l);

/* ---- the reading side: needs no libraries ---- */

/* Can the store's file system share extents? Asked by doing it, with nameless files. */
bool extents_possible(struct layout *l);
/* The file that an entry leads to, for reading: in a layer and nowhere else, and of the entry's size. -1: there is
 * none. As root of an ordinary user's namespace. */
int extents_open(struct layout *l, int index_fd, const char *name);
/**
 * extents_check - is there an index where there should be one (l->share_extents), and does each entry lead to a file of
 * its size? Contents are not compared: nobody believes them. Waits for a sweep before it calls an entry wrong.
 * Errors: CORRUPT: what is wrong, for extents_rebuild() to repair.
 */
fallible extents_check(struct layout *l);

#endif
