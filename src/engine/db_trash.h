/*
 * db_trash.h: what removals keep for a while, in husk.db.
 *
 *   trash             one command that removed something: when, its words, the bytes of the folders that it kept, and
 *                     those of blobs and layers that nothing else needs (image_bytes)
 *   trash_container   a container's row as it was, moved here in one transaction with those that name it
 *   trash_use, trash_endpoint, trash_port   the latter: rows of volume_use, endpoint and port, by the container's ID
 *   trash_volume      a volume's row; item names its folder, for another volume may have the same name meanwhile
 *   trash_pod         a pod's row, moved with its infra's
 *   trash_network     a network's row as it was
 *   trash_image       what index.json said of a name, or of an image without one (name NULL); target: that descriptor
 *
 * A column that is added to one of the tables that these copy has to be added here too.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_DB_TRASH_H
#define HUSK_ENGINE_DB_TRASH_H

#include "engine/db_network.h"

struct db_trash {
    int64_t id, at_ns;
    char *command;
    int64_t bytes, image_bytes;                          /* of all; of these the images' */
    int64_t containers, volumes, pods, networks, images; /* how many; names of images */
    char *names;                                         /* of them all, separated by spaces */
};
struct db_trash_list {
    struct db_trash *items; /* oldest first */
    size_t n;
};
void db_trash_list_clear(struct db_trash_list *l);
static inline void own_drop_db_trash_list(struct db_trash_list *l)
{
    db_trash_list_clear(l);
}
fallible db_trash_list(struct db *db, struct db_trash_list *ret);
/* Only IDs, times and bytes: what each removal asks. */
fallible db_trash_bounds(struct db *db, struct db_trash_list *ret);

/* Moves a row to the trash. *entry: 0: a new one is made, and set. NOT_FOUND; of a volume CONFLICT while one uses it.
 * ret_item: the number in its folder's name. */
fallible db_trash_container(struct db *db, const char *id, const char *command, int64_t bytes, int64_t *entry);
fallible db_trash_volume(struct db *db, const char *name, const char *command, int64_t bytes, int64_t *entry,
                         int64_t *ret_item);

/* A pod's row with its infra's. CONFLICT while it has other members. */
fallible db_trash_pod(struct db *db, const struct db_pod *pod, const char *command, int64_t bytes, int64_t *entry);
/* A network's row, which nobody is on: else CONFLICT, with a container that is. */
fallible db_trash_network(struct db *db, const struct db_network *n, const char *command, int64_t *entry);
/* What a name of index.json (NULL: none) led to; bytes come later, for what an image takes alone is known after. */
fallible db_trash_image(struct db *db, const char *name, const char *id, const char *target, const char *command,
                        int64_t *entry);
fallible db_trash_set_image_bytes(struct db *db, int64_t entry, int64_t bytes);

struct db_trash_image {
    int64_t item, entry;
    char *name, *id, *target; /* name: the full one, or NULL */
};
struct db_trash_volume {
    int64_t item, project;
    char *name;
};
struct db_trash_network {
    int64_t item;
    struct db_network row;
};
struct db_trash_parts {
    struct db_container *containers;
    struct db_trash_volume *volumes;
    struct db_pod *pods;
    struct db_trash_network *networks;
    struct db_trash_image *images;
    size_t containers_n, volumes_n, pods_n, networks_n, images_n;
};
void db_trash_parts_clear(struct db_trash_parts *p);
static inline void own_drop_db_trash_parts(struct db_trash_parts *p)
{
    db_trash_parts_clear(p);
}
/* entry 0: of all. */
fallible db_trash_parts(struct db *db, int64_t entry, struct db_trash_parts *ret);

/* Only the images; entry 0: of all. Adds to *p. */
fallible db_trash_read_images(struct db *db, int64_t entry, struct db_trash_parts *p);

/* Moves a row back. name: another name, or NULL. EXISTS when the name is taken. Leases of addresses are not given back:
 * the next start asks for them. */
fallible db_untrash_container(struct db *db, const char *id, const char *name);
fallible db_untrash_volume(struct db *db, int64_t item, const char *name);
fallible db_untrash_pod(struct db *db, const struct db_pod *pod, const char *name);
fallible db_untrash_network(struct db *db, int64_t item, const char *name);
/* Only forgets it: its name is index.json's. */
fallible db_untrash_image(struct db *db, int64_t item);
/* Forgets an entry and all that is still in it. */
fallible db_trash_forget(struct db *db, int64_t entry);

bool db_trash_has_container(struct db *db, const char *id);
bool db_trash_has_item(struct db *db, const char *item);
/* The newest item of that volume name; 0: none. */
fallible db_trash_item_of(struct db *db, const char *name, int64_t *ret);
/* What a container needs and is gone: a network, a volume, its pod; NULL when all is there. Caller frees. */
fallible db_trash_lacks(struct db *db, const char *id, int64_t entry, char **ret);
/* A port of the host's that it publishes and another container does too, in words; NULL: none. Caller frees. */
fallible db_trash_port_taken(struct db *db, const char *id, char **ret);

#endif
