/*
 * checkpoint_archive.h: a checkpoint as one file, for another host or for when the container is gone.
 *
 * A tar, packed or not, of the checkpoint's folder, with two files more:
 *
 *   container.json   what the container is: name, ID, image, configuration, wishes about networks and ports
 *   rootfs.tar       its writable layer as a layer's tar; not there with --ignore-rootfs
 *
 * Volumes and binds are not in it: they must be there, at the same places. What is restored has the ID that it had,
 * since the files that its run-time folder bound into it are found by that. Whoever restores an archive runs what is in
 * it, as root.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CHECKPOINT_ARCHIVE_H
#define HUSK_ENGINE_CHECKPOINT_ARCHIVE_H

#include "engine/checkpoint.h"

struct checkpoint_archive {
    const char *file;
    const char *compress; /* "zstd" (NULL), "gzip", "none" */
    bool no_rootfs, no_volumes;
    /* of an import */
    const char *name;                 /* another name */
    struct strv publish;              /* these ports, as --publish takes them, and not its own */
    bool no_static_ip, no_static_mac; /* any address of its networks, not those that it asked for */
};
/* What would be in the way, before anything is done: UNSUPPORTED. */
fallible checkpoint_export_check(struct container *c, const struct checkpoint_archive *a);
/* The checkpoint of that name (NULL: CHECKPOINT_DEFAULT), written to out; a->file is for messages. */
fallible checkpoint_export(struct container *c, const char *name, const struct checkpoint_archive *a, int out);
/**
 * checkpoint_import - make the container of an archive again, with its checkpoint under CHECKPOINT_DEFAULT; its image
 * is pulled when it is not here. Errors: INVALID (no such archive); EXISTS (its ID, its name); NOT_FOUND (its image, a
 * network). Then nothing is left.
 */
fallible checkpoint_import(struct engine *e, const struct checkpoint_archive *a, struct container **ret);

#endif
