/*
 * layout_index.h: index.json of an image layout that is not our store: in a folder, in an archive. Names there are
 * written by many tools: the whole name ("docker.io/library/a:1"), a short one ("a:1"), a tag alone ("1").
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_TRANSPORT_LAYOUT_INDEX_H
#define HUSK_TRANSPORT_LAYOUT_INDEX_H

#include "spec/oci_image.h"

#define LAYOUT_NAME_KEY "org.opencontainers.image.ref.name"
/* What containerd and docker take the full name from. */
#define LAYOUT_CONTAINERD_NAME_KEY "io.containerd.image.name"
#define LAYOUT_VERSION_TEXT        "{\"imageLayoutVersion\":\"1.0.0\"}"

/* name: any form of it, or a digest; NULL: the only one. NOT_FOUND and INVALID name those there are. */
fallible layout_index_find(const struct oci_index *index, const char *name, const struct oci_descriptor **ret);
/* The full name of an entry, or NULL. Caller frees. */
char *layout_index_name(const struct oci_descriptor *d);
/* Adds the target, or lets it take the place of what had the name. full: may be NULL. */
void layout_index_set(struct oci_index *index, const struct oci_descriptor *target, const char *name, const char *full);

/* A file written beside its place and renamed into it: bytes_move()'s parameters. Folders are made. */
fallible file_put_at(int dir_fd, const char *path, int fd, int64_t offset, int64_t size, const char *digest);

#endif
