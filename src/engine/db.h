/*
 * db.h: names that last between commands, in SQLite: <root>/husk.db.
 *
 * What is here is what a user decided: containers (name, image, configuration), volumes, and who uses which volume.
 * Whether a container runs is not here: that is asked of its folders and of the kernel, so a killed process can never
 * leave a wrong answer behind.
 *
 * The file is in WAL mode, so a reader never waits for a writer. synchronous=NORMAL: a killed process loses nothing
 * that was acknowledged; a power cut may lose the last rows whole, never parts, unless they were settled
 * (docs/adr/0051-what-a-power-cut-may-take.md). The version of the tables is user_version; older files are upgraded in
 * place, newer ones are refused.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_DB_H
#define HUSK_ENGINE_DB_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct db;
/* Makes the file when make is set; else a missing one is NOT_FOUND. DB_LOOK: as DB_MAKE, and where the file can be
 * neither read nor made as SQLite does it, on a disk without a free block or one that is mounted read-only, it is what
 * the file says at this moment (db_look.h): for commands that soon end, and write nothing. */
enum db_make { DB_MUST_EXIST, DB_MAKE, DB_LOOK };
fallible db_open(const char *root, enum db_make make, struct db **ret);
/* All that was written is on the disk when it returns, whatever becomes of the machine. */
fallible db_settle(struct db *db);
void db_free(struct db *db);
OWN_TYPE(db, struct db *, db_free)

struct db_container {
    char *id, *name;
    char *image;    /* as the user said it; NULL with --rootfs */
    char *image_id; /* the image config's digest */
    char *manifest; /* the manifest's digest: the store keeps what it needs */
    int64_t created_ns;
    char *config; /* JSON: engine/config.h */
    char *pod;    /* its pod's ID, or NULL */
};
void db_container_clear(struct db_container *c);

/* Further rows in the same transaction. */
typedef err *db_more(void *ctx);
/* volumes: names that it uses. more: NULL: nothing. Errors: EXISTS when the name is taken, with the ID that has it. */
fallible db_container_add(struct db *db, const struct db_container *c, const struct strv *volumes, db_more *more,
                          void *ctx);
/* By name, by whole ID, or by a unique prefix of one. NOT_FOUND, CONFLICT (several). */
fallible db_container_find(struct db *db, const char *what, struct db_container *ret);
/* Newest first. */
fallible db_container_list(struct db *db, struct db_container **ret, size_t *ret_n);
fallible db_container_set_config(struct db *db, const char *id, const char *config);
fallible db_container_rename(struct db *db, const char *id, const char *name);
/* No such row is no error. */
fallible db_container_remove(struct db *db, const char *id);
bool db_container_has(struct db *db, const char *id);

struct db_volume {
    char *name;
    int64_t created_ns;
    bool anonymous;
    char *labels;    /* JSON object */
    char *options;   /* JSON object: type, device, o, size */
    int64_t project; /* of a quota (os/quota.h); 0: none */
};
void db_volume_clear(struct db_volume *v);
/* EXISTS when there already is one of that name. */
fallible db_volume_add(struct db *db, const struct db_volume *v);
fallible db_volume_find(struct db *db, const char *name, struct db_volume *ret);
fallible db_volume_list(struct db *db, struct db_volume **ret, size_t *ret_n);
/* CONFLICT while a container uses it, with the container's ID. */
fallible db_volume_remove(struct db *db, const char *name);
/* That CONFLICT. */
fallible db_volume_in_use(const char *name, const char *container);
/* IDs of the containers that use it. */
fallible db_volume_users(struct db *db, const char *name, struct strv *ret);

/* A pod: engine/pod.h. Its members are the containers with its ID. */
struct db_pod {
    char *id, *name;
    int64_t created_ns;
    char *infra;  /* ID of the container that holds its namespaces; NULL: none */
    char *config; /* JSON */
};
void db_pod_clear(struct db_pod *p);
static inline void own_drop_db_pod(struct db_pod *p)
{
    db_pod_clear(p);
}
/* EXISTS when the name is taken. */
fallible db_pod_add(struct db *db, const struct db_pod *p);
/* By name, whole ID or unique prefix of one. NOT_FOUND, CONFLICT. */
fallible db_pod_find(struct db *db, const char *what, struct db_pod *ret);
/* Newest first. */
fallible db_pod_list(struct db *db, struct db_pod **ret, size_t *ret_n);
/* IDs of its containers in the order in which they were made; the infra is the first. */
fallible db_pod_members(struct db *db, const char *id, struct strv *ret);
/* With its infra's row, in one transaction. CONFLICT while it has other containers. */
fallible db_pod_remove(struct db *db, const struct db_pod *p);
/* For the transaction that adds a member: NOT_FOUND when the pod has been removed meanwhile. */
fallible db_pod_must_exist(struct db *db, const char *id);

#endif
