/*
 * ids.h: users, groups and the ranges that an ordinary user may map. Files are parsed here, not by NSS: husk is static,
 * and inside a container the host's NSS has no say. Source: passwd(5), group(5), subuid(5).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_IDS_H
#define HUSK_OS_IDS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/mem.h"

/* ids inside [inside, inside+count) are [outside, outside+count) in the parent namespace */
struct id_range {
    uint32_t inside, outside, count;
};
struct id_map {
    struct id_range *ranges;
    size_t n;
};
void id_map_free(struct id_map *m);
static inline void own_drop_id_map(struct id_map *m)
{
    id_map_free(m);
}
void id_map_add(struct id_map *m, uint32_t inside, uint32_t outside, uint32_t count);
/* False when not mapped. */
bool id_map_outside(const struct id_map *m, uint32_t inside, uint32_t *ret_outside);

bool id_map_inside(const struct id_map *m, uint32_t outside, uint32_t *ret_inside);
/* Where a map's ids outside are `own`'s ids inside: the same map, counted as that namespace does. INVALID when it has
 * not all of them. */
fallible id_map_translate(const struct id_map *own, const struct id_map *map, struct id_map *ret);

/* /proc/PID/uid_map or gid_map; the ids outside are as this process counts. */
fallible id_map_read_proc(const char *path, struct id_map *ret);

/* This process's own map: true when it already is in a user namespace whose map is not the whole range. */
bool ids_in_userns(void);

/* Whether this process is root as containers need it: may mount. User 0 of a container that may not, but may make user
 * namespaces, is an ordinary user in all but its number: its containers are made as an ordinary user's, in a user
 * namespace below, with every id that it has. Source: user_namespaces(7), CAP_SYS_ADMIN. */
bool ids_is_root(void);
/* Whether this process has CAP_SYS_ADMIN, or cannot know. */
bool ids_may_administer(void);
/* Whether clone(2) with these CLONE_NEW* works here: asked of the kernel, by a process that ends at once. */
bool ids_may_clone(int flags);
/* Whether a new pid namespace could have its own /proc: not where something is mounted over parts of the one that we
 * see, as in a container. Asked as above. Source: mount_too_revealing() of fs/namespace.c. */
bool ids_may_mount_proc(void);

/**
 * ids_subordinate - the ranges that /etc/subuid or /etc/subgid gives a user (all rows, in file order).
 * @path: "/etc/subuid" or "/etc/subgid". @user: login name, or NULL; @id matches numeric rows.
 * An absent file or no row is an empty map, no error. Rows are inside=0: only outside and count mean something.
 */
fallible ids_subordinate(const char *path, const char *user, uint32_t id, struct id_map *ret);

/* Rootless default: inside 0 is the caller, inside 1.. are the subordinate ranges. Warns in *ret_note (caller frees,
 * NULL when all is well) when there is no range and only the caller's own id can be mapped. */
fallible ids_rootless_maps(struct id_map *ret_uids, struct id_map *ret_gids, char **ret_note);

/* Writes uid_map and gid_map of a child: directly when allowed (root; or a single own id), else through newuidmap(1)
 * and newgidmap(1). Errors: DENIED with the cure (install uidmap, add subuid rows). */
fallible ids_write_maps(pid_t pid, const struct id_map *uids, const struct id_map *gids);

/* The same for a process whose user namespace is a child of parent_user_fd's, by that one's root. The maps say ids of
 * ours, as above; they are written as the parent's. INVALID when it has not all of them. */
fallible ids_write_maps_below(int parent_user_fd, pid_t pid, const struct id_map *uids, const struct id_map *gids);

struct passwd_entry {
    char *name;
    uint32_t uid, gid;
    char *home, *shell;
};
void passwd_entry_free(struct passwd_entry *e);
/* Looks in text with the format of passwd(5): by name, or by uid when name is NULL. NOT_FOUND. */
fallible passwd_find(const char *text, const char *name, uint32_t uid, struct passwd_entry *ret);
/* The host's login name of a uid, or NULL; caller frees. */
char *ids_user_name(uint32_t uid);
/* A group's id by name in text with the format of group(5). NOT_FOUND. */
fallible group_find(const char *text, const char *name, uint32_t *ret_gid);
/* Every group that lists the user: appended to *gids. */
void group_list(const char *text, const char *user, uint32_t **gids, size_t *n);

#endif
