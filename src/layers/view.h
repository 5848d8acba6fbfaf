/*
 * view.h: an image's files, seen by merging its unpacked layers by descriptor: no mount, no root, no copy.
 *
 * Overlayfs's rules: an upper layer's file hides a lower one of the same name, a whiteout (a character device 0:0)
 * hides it without putting anything there, directories merge unless the upper one is opaque. What is hidden can be
 * seen too: that is how it is said which layer made a file and what later layers waste.
 *
 * Names are opened one at a time with O_NOFOLLOW; links are followed here, inside the image. An ordinary user must be
 * root of their namespace (userns_enter) to see files of subordinate ids. Source: overlayfs.rst; image-spec layer.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_VIEW_H
#define HUSK_LAYERS_VIEW_H

#include <sys/stat.h>

#include "image/layout.h"

struct view;
/* Opens all layers of the image. NOT_FOUND names the one that is missing. The layout is borrowed for the call. */
fallible view_open(struct layout *l, const struct image *image, struct view **ret);
void view_free(struct view *v);
OWN_TYPE(view, struct view *, view_free)
/* How many layers; 0 is the lowest. view_diff_id(): borrowed. */
size_t view_layers(const struct view *v);
const char *view_diff_id(const struct view *v, size_t layer);
/* Its root directory; borrowed. */
int view_root(const struct view *v, size_t layer);

/* One directory in those layers that have it, topmost first. */
#define VIEW_NOT_HIDDEN SIZE_MAX
struct view_dir {
    struct view_at {
        int fd; /* owned */
        size_t layer;
        size_t hidden_by; /* the layer that hides this one's contents, or VIEW_NOT_HIDDEN */
    } * at;
    size_t n;
};
void view_dir_clear(struct view_dir *d);
static inline void own_drop_view_dir(struct view_dir *d)
{
    view_dir_clear(d);
}
/* What holds the root: view_look(it, ".") is the root itself. */
fallible view_top(struct view *v, struct view_dir *ret);
/* All names in it, hidden ones and whiteouts too, sorted, each once. */
fallible view_names(const struct view_dir *d, struct strv *ret);

/* One name in the layers, topmost first. */
enum view_kind { VIEW_WHITEOUT, VIEW_DIR, VIEW_OTHER };
struct view_version {
    enum view_kind kind;
    size_t layer, hidden_by;
    int dir_fd; /* of the directory it is in; borrowed from the view_dir */
    struct stat st;
};
struct view_versions {
    struct view_version *items;
    size_t n;
};
static inline void own_drop_view_versions(struct view_versions *v)
{
    free(v->items);
}
/* VIEW_VISIBLE: only what makes up what a container sees; VIEW_ALL: whatever any layer has there. A name that is
 * nowhere has no versions. */
enum view_depth { VIEW_VISIBLE, VIEW_ALL };
fallible view_look(const struct view_dir *d, const char *name, enum view_depth depth, struct view_versions *ret);
/* What a container sees there, or NULL. Borrowed. */
const struct view_version *view_visible(const struct view_versions *v);
/* The directory that those versions are which are directories. */
fallible view_enter(const char *name, const struct view_versions *v, struct view_dir *ret);

/* A regular file's contents / a link's target (caller frees). */
fallible view_open_file(const char *name, const struct view_version *v, int *ret_fd);
fallible view_read_link(const char *name, const struct view_version *v, char **ret);

/* Where a path leads, as a container would see it. */
struct view_place {
    struct view_dir parent;
    char *name; /* in the parent; "." for the root */
    char *path; /* absolute, without links on the way */
    struct view_versions versions;
};
void view_place_clear(struct view_place *p);
static inline void own_drop_view_place(struct view_place *p)
{
    view_place_clear(p);
}
/**
 * view_find - follow a path. Links on the way are followed, the last one only with VIEW_FOLLOW.
 * @depth: of the versions at the end: with VIEW_ALL also a place where only hidden files are is found.
 * Errors: NOT_FOUND, INVALID (a directory is needed; too many links).
 */
enum view_link { VIEW_NO_FOLLOW, VIEW_FOLLOW };
fallible view_find(struct view *v, const char *path, enum view_link last, enum view_depth depth,
                   struct view_place *ret);

/**
 * view_walk - fn for a directory's entries and all below it that a container sees, each directory before what is in it.
 * @path: of the directory, for the paths that fn is told: "" for the root.
 */
typedef err *view_fn(void *ctx, const char *path, const char *name, const struct view_versions *versions);
fallible view_walk(const struct view_dir *d, const char *path, view_fn *fn, void *ctx);

#endif
