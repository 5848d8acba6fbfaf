/*
 * mount.h: what RUN --mount=... says. Source: dockerfile-reference.md "RUN --mount".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_MOUNT_H
#define HUSK_BUILD_MOUNT_H

#include <stdint.h>

#include "build/expand.h"

enum build_mount_type { BUILD_MOUNT_BIND, BUILD_MOUNT_CACHE, BUILD_MOUNT_TMPFS, BUILD_MOUNT_SECRET, BUILD_MOUNT_SSH };
enum build_sharing { BUILD_SHARED, BUILD_PRIVATE, BUILD_LOCKED };

struct build_mount {
    enum build_mount_type type;
    char *from, *source, *target, *id, *env; /* NULL: not given; source and target are without variables */
    enum build_sharing sharing;
    bool read_only;
    bool required;
    int64_t size;     /* tmpfs, bytes; 0: no limit */
    int mode;         /* -1: the type's default */
    int64_t uid, gid; /* 0 */
};
/* @e: NULL: variables stay as they are, for who only looks at the stages. Errors: INVALID, without a place. */
fallible build_mount_parse(const char *text, const struct expand *e, struct build_mount *ret);
void build_mount_clear(struct build_mount *m);
static inline void own_drop_build_mount(struct build_mount *m)
{
    build_mount_clear(m);
}

#endif
