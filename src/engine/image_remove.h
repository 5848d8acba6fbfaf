/*
 * image_remove.h: names of images go; what no name and no container needs goes with them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_IMAGE_REMOVE_H
#define HUSK_ENGINE_IMAGE_REMOVE_H

#include "engine/engine.h"
#include "layers/layer.h"

/**
 * image_remove - by name or ID.
 * @force: also while a container uses it (the container keeps what it needs), and an ID with several names.
 * @trash: where its names go (engine/trash.h), which keeps its layers; NULL: they are gone.
 * @ret_lines: "Untagged: NAME", and "Deleted: ID" when that was its last name.
 * Errors: NOT_FOUND, CONFLICT (in use, several names).
 */
struct trash;
fallible image_remove(struct engine *e, const char *what, bool force, struct trash *trash, struct strv *ret_lines);
/* What image_remove() would say, and what room it would make; or its errors. Nothing is changed. */
fallible image_removal(struct engine *e, const char *what, bool force, struct strv *ret_lines, uint64_t *ret_bytes);
/* Of an image of several platforms the one for this platform ("linux/arm64"). With the only one that is here the image
 * goes as image_remove() has it; else its manifest goes, to the trash. CONFLICT: something needs it, force or not. */
fallible image_remove_platform(struct engine *e, const char *what, const char *platform, bool force,
                               struct trash *trash, struct strv *ret_lines);
struct oci_descriptor;
/* What the trash has of one: its manifest comes back, and its place in the index that has it, or one without a name.
 * The store is locked. */
fallible image_part_bring(struct layout *l, const struct oci_descriptor *d);
/* What it keeps. CORRUPT, NOT_FOUND: its documents. */
fallible image_part_keep(struct layout *l, const struct oci_descriptor *d, struct sweep_kept *ret);
/* What that would say, and what room it would make; or its errors. Nothing is changed. */
fallible image_platform_removal(struct engine *e, const char *what, const char *platform, bool force,
                                struct strv *ret_lines, uint64_t *ret_bytes);
/* What this manifest alone keeps, as one of an index's: the bytes that a sweep without it would give back. */
fallible image_part_bytes(struct engine *e, const char *manifest, uint64_t *ret);
/* What containers, the trash and builds need, whatever its name; sweep_kept_clear() frees what is in it. */
fallible image_kept(struct engine *e, struct sweep_kept *ret);
/* A container that uses the image with this ID, or NULL. */
fallible image_user(struct engine *e, const char *image_id, char **ret_name);
struct prune_options {
    bool all;                   /* named images that no container uses too */
    bool dry_run;               /* only say what would go */
    const struct strv *filters; /* "until=TIME or DURATION", "label=KEY[=VALUE]", "label!=KEY[=VALUE]"; NULL: none */
    const struct strv *without; /* IDs of containers that do not count: they go first; NULL: none */
    bool without_trash;         /* nor does what the trash has now */
    const struct strv *without_builds; /* nor do these diffIDs of the build cache; NULL: none */
    struct trash *trash;               /* where to; NULL: they are gone */
};
/* Names that nobody uses go first, then everything that nothing needs. */
fallible image_prune(struct engine *e, const struct prune_options *o, struct strv *ret_lines, uint64_t *ret_bytes);
/* Sweeps the image store with what containers need kept; by the settings, packed layers go. */
fallible image_sweep(struct engine *e, bool dry_run, struct sweep_result *ret);
/* What a sweep would make room of if builds remembered nothing. Nothing is changed. */
fallible image_sweep_of_builds(struct engine *e, uint64_t *ret_bytes);
/* What entry of the trash (0: all of it) alone keeps: the bytes that a sweep without it would give back. */
fallible image_trash_bytes(struct engine *e, int64_t entry, uint64_t *ret);

#endif
