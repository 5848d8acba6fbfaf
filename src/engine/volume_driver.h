/*
 * volume_driver.h: what `volume create --opt` asks of the local driver: type=, device=, o=, size=.
 *
 * o=bind shows a directory of the host's; any other type is a file system that is mounted on the volume's _data when a
 * container that uses it starts, and stays so until the volume is unmounted or removed: one mount that all containers
 * share, as docker's. Without a type, size= (or o=size=) is a quota of the file system that the volumes are on.
 * Source: moby volume/local, podman-volume-create(1).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_VOLUME_DRIVER_H
#define HUSK_ENGINE_VOLUME_DRIVER_H

#include "codec/bind.h"
#include "engine/db.h"

struct volume_driver {
    char *type, *device;   /* NULL: none */
    struct strv options;   /* words of o=, without those below */
    uint64_t size, inodes; /* a quota; 0: none */
    struct opt_i64 uid, gid;
    bool bind, nocopy;
};
void volume_driver_clear(struct volume_driver *d);
static inline void own_drop_volume_driver(struct volume_driver *d)
{
    volume_driver_clear(d);
}
/* INVALID names the option. */
fallible volume_driver_read(const struct strmap *options, struct volume_driver *ret);
fallible volume_driver_of(const struct db_volume *v, struct volume_driver *ret);
/* It has a file system to be mounted. */
bool volume_driver_mounts(const struct volume_driver *d);

#endif
