/*
 * users.h: names in a container, looked up in its own /etc/passwd and /etc/group before anything is mounted.
 *
 * The files are read out of the stacked layer directories (writable one first) the way overlayfs would show them:
 * whiteouts and opaque directories hide what is below, links are followed inside the layer that has them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_USERS_H
#define HUSK_ENGINE_USERS_H

#include <stdint.h>

#include "rootfs/source.h"

/* The text of a regular file, at most max bytes. NOT_FOUND when the container would not see it. */
fallible source_read_file(const struct rootfs_source *root, const char *path, size_t max, char **ret_text);

struct container_user {
    uint32_t uid, gid;
    uint32_t *groups; /* additional; includes gid first, as docker's */
    size_t groups_n;
    char *home; /* never NULL */
};
void container_user_clear(struct container_user *u);
/**
 * users_resolve - "", "name", "uid", "name:group", "uid:gid" -> numbers.
 * A number is always a number, even where /etc/passwd has a user of that name (CVE-2016-3697).
 * @group_add: more groups, names or numbers.
 * Errors: NOT_FOUND names the user or group and the file it is not in; INVALID for numbers beyond 2^32-2.
 */
fallible users_resolve(const struct rootfs_source *root, const char *user, const struct strv *group_add,
                       struct container_user *ret);

#endif
