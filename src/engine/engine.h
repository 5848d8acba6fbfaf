/*
 * engine.h: the folders, the names and the image store, each opened when it is first needed.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_ENGINE_H
#define HUSK_ENGINE_ENGINE_H

#include "engine/db.h"
#include "image/layout.h"
#include "usernet/usernet.h"

struct engine {
    char *root, *run;        /* engine/paths.h */
    struct db *db;           /* through engine_db() */
    struct layout *layout;   /* through engine_layout() */
    struct usernet *usernet; /* through network_door(): of an ordinary user, once a network is touched */
    bool looks;              /* DB_LOOK of db.h */
};
/* Finds the folders and opens nothing. */
fallible engine_open(struct engine **ret);
/* The same for a command that only looks: on a full or read-only disk it is told what is there (db.h, DB_LOOK). */
fallible engine_open_to_look(struct engine **ret);
void engine_free(struct engine *e);
OWN_TYPE(engine, struct engine *, engine_free)

/* Makes the file when missing. Borrowed. */
fallible engine_db(struct engine *e, struct db **ret);
/* What was just made, its rows and this folder, outlasts a power cut; where the disk refuses there is a warning.
 * @folder: below the store's root, such as "containers/ID"; NULL: it is rows alone. */
void engine_settle(struct engine *e, const char *folder);
/* *ret is NULL while there is no file: nothing has been made yet. Borrowed. */
fallible engine_db_if_there(struct engine *e, struct db **ret);
/* room_given() of image/room.h, for what a removal writes. */
bool engine_gave_room(struct engine *e, err **failed);
/* Opens husk.db for one: on a full disk even reading it may want blocks (db_map.h), and takes them from there. What
 * else is wrong with it is said to whoever asks for it. */
void engine_ready_to_remove(struct engine *e);
/* Makes the store when missing. Borrowed. */
fallible engine_layout(struct engine *e, struct layout **ret);

/* True when containers of this user are in user namespaces, with files that belong to subordinate ids. */
bool engine_is_rootless(void);
/* rm -rf for trees of ours that may hold files of subordinate ids. path is absolute. */
fallible engine_remove_tree(const char *path);
/* Bytes on disk of such a tree; 0 when it is not there. */
fallible engine_disk_usage(const char *path, uint64_t *ret_bytes);

#endif
