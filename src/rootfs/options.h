/*
 * options.h: the option words of config.json's mounts, as what the kernel is asked for.
 *
 * Source: runtime-spec config.md, "Linux mount options"; mount_setattr(2).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ROOTFS_OPTIONS_H
#define HUSK_ROOTFS_OPTIONS_H

#include <stdint.h>

#include "base/mem.h"
#include "os/mount.h"
#include "spec/oci_runtime.h"

struct mount_options {
    uint64_t set, clear;             /* MOUNT_ATTR_* of this one mount */
    uint64_t set_below, clear_below; /* the same for everything mounted below as well: rro, rnosuid ... */
    uint64_t propagation;            /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE; 0: as it is */
    enum mount_depth propagation_depth;
    bool bind;
    enum mount_depth bind_depth;
    bool remount;
    bool tmpcopyup;
    bool idmap;
    enum mount_depth idmap_depth;
    char *idmap_text; /* crun's "idmap=uids=0-1000-10#10-2000-5;gids=0-1000-10": what follows the first "=", or NULL */
    struct str data;  /* what the file system itself is told: "size=64k,mode=755" */
};
void mount_options_clear(struct mount_options *o);
static inline void own_drop_mount_options(struct mount_options *o)
{
    mount_options_clear(o);
}

/* A word that no row knows is the file system's own. INVALID: words that a bind mount cannot have. */
fallible mount_options_read(const struct oci_mount *m, struct mount_options *ret);

/* "rslave", "private" ... as in linux.rootfsPropagation. "" and NULL are 0. */
fallible mount_propagation_read(const char *word, uint64_t *ret_propagation, enum mount_depth *ret_depth);

/* Every option word that husk knows, NULL-terminated: for `husk-oci features`. */
const char *const *mount_option_words(void);

#endif
