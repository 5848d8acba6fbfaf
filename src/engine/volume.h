/*
 * volume.h: directories that outlive containers: <root>/volumes/NAME/_data.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_VOLUME_H
#define HUSK_ENGINE_VOLUME_H

#include "engine/config.h"
#include "engine/engine.h"
#include "engine/volume_driver.h"
#include "rootfs/source.h"

/* labels, options (engine/volume_driver.h): may be NULL. */
struct volume_wish {
    const struct strmap *labels, *options;
    bool anonymous;
};
/* EXISTS when there already is one of that name; UNSUPPORTED, DENIED where what its options ask cannot be. */
fallible volume_create(struct engine *e, const char *name, const struct volume_wish *wish);
/* An anonymous one: its name is 64 random hex digits. wish may be NULL. Caller frees. */
fallible volume_create_anonymous(struct engine *e, const struct volume_wish *wish, char **ret_name);
/* NOT_FOUND. Caller clears. */
fallible volume_find(struct engine *e, const char *name, struct db_volume *ret);
/* CONFLICT while a container uses it. */
fallible volume_remove(struct engine *e, const char *name);
/* The same, but to the trash where t keeps (engine/trash.h); NULL: it is gone. */
struct trash;
fallible volume_discard(struct engine *e, const char *name, struct trash *t);
/* The errors of volume_remove(), and what room it would make. Nothing is changed. */
fallible volume_removal(struct engine *e, const char *name, uint64_t *ret_bytes);
/* "<root>/volumes/NAME/_data"; caller frees. */
char *volume_path(const struct engine *e, const char *name);
/* Where its files are: the same, or its device (o=bind). Caller frees. */
char *volume_data(const struct engine *e, const struct db_volume *v);
/* The host's path of a bind's or a volume's source, without its subpath. Caller frees. */
char *mount_source_path(const struct engine *e, const struct container_mount *m);
/* Mounts what its options name on its folder, in this process's mount namespace, unless it is; nothing to do for one
 * without. Killed in between, nothing is mounted. */
fallible volume_mount(struct engine *e, const char *name);
/* Containers that run keep what they see. No mount is no error. */
fallible volume_unmount(struct engine *e, const char *name);
/* Its content as a tar; a tar, which may be packed, into it, over what is there. NOT_FOUND. */
fallible volume_export(struct engine *e, const char *name, int fd);
fallible volume_import(struct engine *e, const char *name, int fd);
/* --filter: name, label, label!, dangling, anonymous, until, since, driver, opt: engine/filter.h says how they go
 * together. Checked first: */
fallible volume_filters_check(const struct strv *filters);
fallible volume_passes(struct db *db, const struct db_volume *v, const struct strv *filters, bool *ret);
struct volume_prune_options {
    bool all;            /* those with names too */
    struct trash *trash; /* where to; NULL: they are gone */
    bool dry_run;        /* only answer what would go */
    const struct strv *filters;
    const struct strv *without; /* IDs of containers that do not count: they go first; NULL: none */
};
/* Removes the anonymous ones (or all) that no container uses; names are added to removed. */
fallible volume_prune(struct engine *e, const struct volume_prune_options *o, struct strv *ret_removed,
                      uint64_t *ret_bytes);

/**
 * volumes_prepare - before a container is made: its volumes exist, new ones have the image's content at their target,
 * the sources of its binds are there, and what shall belong to its user does.
 * @image: the container's root without a writable layer.
 * @ret_made: anonymous volumes made here, to be removed again if the container is not made after all.
 */
fallible volumes_prepare(struct engine *e, struct container_config *config, const struct rootfs_source *image,
                         struct strv *ret_made);

#endif
