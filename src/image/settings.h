/*
 * settings.h: what the machine's owner and the user decided about the store:
 *
 *   /etc/husk/husk.conf, and for an ordinary user then ${XDG_CONFIG_HOME:-~/.config}/husk/husk.conf, which wins;
 *   or the one file that $HUSK_CONF names.
 *
 *   [storage]
 *   budget = 20G        # bytes that images may take; what is used least goes first. Default: none
 *   keep_blobs = yes    # no: a layer's packed bytes go when it is unpacked; such an image cannot be pushed or saved
 *   driver = auto       # overlay: the kernel's; fuse-overlayfs; vfs: a copy for each container; auto: the first that
 * works
 *   layers = auto       # files: unpacked; erofs: mounted as they came (root, where the kernel can); auto: husk
 *                       # chooses
 *   share_extents = yes # files of a new layer share the extents of equal ones in others, where the file system can
 *
 *   [trash]
 *   keep = 1d           # how long removed containers and volumes can be had back with `husk undo`; 0: not at all
 *   size = auto         # bytes that they may take; auto: a tenth of what is free on the store's file system
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_SETTINGS_H
#define HUSK_IMAGE_SETTINGS_H

#include <stdint.h>

#include "base/err.h"

enum settings_layers { SETTINGS_LAYERS_AUTO, SETTINGS_LAYERS_FILES, SETTINGS_LAYERS_EROFS };
enum settings_driver { SETTINGS_DRIVER_AUTO, SETTINGS_DRIVER_OVERLAY, SETTINGS_DRIVER_FUSE, SETTINGS_DRIVER_VFS };
enum { SETTINGS_PATHS_MAX = 1024 };
struct settings {
    int64_t budget;                    /* bytes; 0: none */
    int64_t trash_keep_ns, trash_size; /* size: -1: auto */
    bool keep_blobs, share_extents;
    enum settings_layers layers;
    enum settings_driver driver;
    char cni_dirs[SETTINGS_PATHS_MAX], cni_plugins[SETTINGS_PATHS_MAX]; /* separated by colons; "": the usual ones */
};
extern const char *const settings_driver_words[]; /* in that order; ends with NULL */
/* Files that are not there are no error. INVALID names file and line. Called before the process is root of anything. */
fallible settings_read(struct settings *ret);
/* One file's text over what is in s already. */
fallible settings_parse(const char *name, const char *text, struct settings *s);

#endif
