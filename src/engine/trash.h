/*
 * trash.h: what `rm`, `volume rm`, `network rm` and the prunes remove is kept for a while, and `husk undo` brings it
 * back.
 *
 *   <root>/trash/ID/            a container's folder
 *   <root>/trash/volume-ITEM/   a volume's
 *
 * The row says where a folder belongs: it is moved to the trash's tables in one transaction (db_trash.h), and then the
 * folder is renamed, under its lock. Killed in between, whoever finds the folder where it was moves it: a sweep, the
 * making of a volume of that name, `system check --repair`, `undo` itself.
 *
 * Of an image only its name goes: the row has what index.json said of it, and a sweep keeps what rows name. A container
 * in the trash does not hold its image's layers; undo says which image has to be brought back or pulled first. A pod's
 * row goes with its infra's, after its members'. A network's row goes after what the kernel has of it.
 *
 * Bounds ([trash] in husk.conf: keep, size; at most 1,000 entries): what is too much goes, oldest first, at the end of
 * the next command that removes something. size = auto is a tenth of what is free on the file system, so on a full disk
 * a removal makes room at once.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_TRASH_H
#define HUSK_ENGINE_TRASH_H

#include "engine/db_trash.h"
#include "engine/engine.h"

struct trash {
    struct engine *engine;
    const char *command; /* borrowed: "rm" */
    int64_t entry;       /* 0: nothing is kept (yet) */
    int64_t keep_ns, size;
    bool off, images; /* images: the entry has some */
};
/* no_trash: the user said so. The settings are read here. */
fallible trash_begin(struct engine *e, const char *command, bool no_trash, struct trash *ret);
/* Keeps the bounds. Nothing to do for one that is off by --no-trash. */
fallible trash_end(struct trash *t);
/* Whether to keep; t may be NULL. */
bool trash_keeps(const struct trash *t);

/* Row and folder of a container whose lock is held and that does not run. EXHAUSTED: nothing is changed. */
fallible trash_container(struct trash *t, const char *id);
/* Of a volume. CONFLICT while a container uses it; EXHAUSTED: nothing is changed. */
fallible trash_volume(struct trash *t, const char *name);

/* Of a pod with nothing in it but its infra, if it has one, whose lock is held. EXHAUSTED: nothing is changed. */
fallible trash_pod(struct trash *t, const struct db_pod *pod);
/* A network's row, whose part of the kernel is gone. CONFLICT while a container is on it; EXHAUSTED: nothing is
 * changed. */
fallible trash_network(struct trash *t, const struct db_network *n);
/* What index.json says of a name, or of an image without one, before that goes; the store's lock is held meanwhile.
 * EXHAUSTED: nothing is changed. */
fallible trash_image(struct trash *t, const char *id, const struct oci_descriptor *target);

/* Deletes an entry for good; NOT_FOUND. *sweep is set when it had images: what they took is there until
 * image_sweep(). */
fallible trash_purge(struct engine *e, int64_t entry, bool *sweep);
/**
 * trash_undo - bring an entry back.
 * @entry: 0: the last. @name: another name for it, when it is one object; else NULL.
 * @ret_lines: what came back: "container NAME", "volume NAME", "pod NAME", "network NAME", "image NAME".
 * Errors: NOT_FOUND; EXISTS (a name is taken); CONFLICT (what it needs is gone, or a network's addresses are
 * another's). What came back before the error stays, and the same again goes on with the rest.
 */
fallible trash_undo(struct engine *e, int64_t entry, const char *name, struct strv *ret_lines);

/* A folder in containers/ or volumes/ without a row: *ret when it belonged to the trash, where it is now. */
fallible trash_finish_container(struct engine *e, const char *id, bool *ret);
fallible trash_finish_volume(struct engine *e, const char *name, bool *ret);
/* Whether NAME in <root>/trash has a row. */
bool trash_owns(struct engine *e, const char *name);
char *trash_path(const struct engine *e, const char *name); /* caller frees */
char *trash_volume_path(const struct engine *e, int64_t item);

#endif
