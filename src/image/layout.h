/*
 * layout.h: the image store on disk: an OCI image layout (image-layout.md), so skopeo, umoci and oras read it.
 *
 *   <store>/oci-layout            {"imageLayoutVersion":"1.0.0"}
 *   <store>/index.json            the one truth of names: one descriptor per name, the full reference in the
 *                                 annotation org.opencontainers.image.ref.name; replaced whole, by rename, under lock
 *   <store>/blobs/sha256/<hex>    manifests, configs, layers as fetched; a blob is there whole and verified, or not
 *                                 at all
 *   <store>/layers/<hex>/         unpacked layers, by diffID (layers/layer.h)
 *   <store>/trust/<hex>.json      who has signed an image, and from where it came (image/trusted.h)
 *   <store>/index.lock            flock(2): held for the moment in which index.json is replaced
 *   <store>/tmp/                  staging; each entry (file or directory) is locked with flock(2) by who works on it;
 *                                 what nobody holds is rubbish, or a blob's first part that a pull may go on with
 *   <store>/room                  what a removal may use on a full disk (image/room.h)
 *   <store>/lists.lock            flock(2): held while a list of platforms is changed (transport/list.h)
 *   <store>/lock                  flock(2): shared for the moment in which an image gets a user or another name,
 * exclusive while a sweep looks for what nothing needs and moves it away
 *
 * A session that adds (pull, load, commit) holds no lock for its length but an entry "adding-*" of tmp/, locked: a
 * sweep leaves everything that was made or used since the oldest such entry (by modification time, which
 * layout_use_blob() and layer_use() renew), and what was since the sweep itself began. So neither waits for the other.
 *
 * This header needs no hashing, no network and no decompression: the hot path reads images through it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_LAYOUT_H
#define HUSK_IMAGE_LAYOUT_H

#include "spec/oci_image.h"

struct layout {
    char *path;
    int fd;             /* O_PATH */
    bool erofs;         /* new layers are to be EROFS (layers/merged.h); who adds says so */
    bool share_extents; /* new layers' files are to share those of others (layers/extents.h); likewise */
    struct layout_added {
        struct layout_added *next;
        char *path; /* below the store */
    } * added;      /* what was put in place through this struct: layers_take_back() */
};
/* $HUSK_ROOT, or /var/lib/husk for root, or ${XDG_DATA_HOME:-~/.local/share}/husk. Caller frees. */
char *layout_default_path(void);
/* Opens; makes the layout first when make is set. */
fallible layout_open(const char *path, bool make, struct layout **ret);
void layout_free(struct layout *l);
OWN_TYPE(layout, struct layout *, layout_free)

/* Holds <store>/lock until the descriptor is closed. -1, and no error, on a file system that nobody can write. */
enum layout_lock { LAYOUT_ADDING, LAYOUT_REMOVING };
fallible layout_lock(struct layout *l, enum layout_lock how, int *ret_fd);

/* Begins a session that adds; it lasts until the descriptor is closed. @ret_name: of its entry, to be removed by
 * layout_end_adding(), which closes as well; caller frees. */
fallible layout_begin_adding(struct layout *l, char **ret_name, int *ret_fd);
void layout_end_adding(struct layout *l, const char *name, int *take_fd);
/* Of the oldest session that is alive, as a modification time; now_ns when there is none. */
fallible layout_oldest_adding(struct layout *l, int64_t now_ns, int64_t *ret_ns);
/* Is it there, and stays so while we add? Path below the store; of a blob: with a size, or -1. */
bool layout_use(struct layout *l, const char *path);
/* It was not there and is now, by our doing. From any thread. */
void layout_note_added(struct layout *l, const char *path);
/* Renews the time of a blob that somebody else keeps in place. */
void layout_touch_blob(struct layout *l, const char *digest);
bool layout_use_blob(struct layout *l, const char *digest, int64_t expected_size);

/**
 * layout_stage - open (and make) an entry of <store>/tmp and lock it exclusively, waiting for its holder.
 * @dir: a directory; else a file, opened for reading and writing. The descriptor is the lock.
 * layout_stage_name() makes a name nobody has: "PREFIX-<random>"; caller frees.
 */
enum layout_stage_kind { LAYOUT_STAGE_FILE, LAYOUT_STAGE_DIR };
fallible layout_stage(struct layout *l, const char *name, enum layout_stage_kind kind, int *ret_fd);
char *layout_stage_name(const char *prefix);
/* Removes entries that nobody holds: the rubbish of killed commands. A blob's first part ("blob-*"), which a pull may
 * go on with, only when it was not touched for this long. */
fallible layout_sweep_staging(struct layout *l, uint64_t keep_blobs_seconds);

/* "blobs/sha256/<hex>"; caller frees. */
char *layout_blob_path(const char *digest);
/* NOT_FOUND, or CORRUPT when the size is not expected_size (-1: not checked). */
fallible layout_open_blob(struct layout *l, const char *digest, int64_t expected_size, int *ret_fd);
bool layout_has_blob(struct layout *l, const char *digest, int64_t expected_size);
/* A whole small blob (manifest, config), at most 4 MiB, as text. */
fallible layout_read_blob(struct layout *l, const char *digest, char **ret_text, size_t *ret_len);

/* index.json */
fallible layout_read_index(struct layout *l, struct oci_index **ret);
/* Points a full name at a manifest (or index) descriptor, taking the name from whatever had it; what was kept without a
 * name has this one then, unless it is one that a build takes for a while. Locks by itself. */
#define LAYOUT_BUILD_NAMES "localhost/husk-build-"
fallible layout_set_name(struct layout *l, const char *full_name, const struct oci_descriptor *target);
/* NOT_FOUND when no such name. */
fallible layout_remove_name(struct layout *l, const char *full_name);
/* The name goes and the image stays, as layout_add_unnamed() keeps it: at no moment is it without either. NOT_FOUND. */
fallible layout_unname(struct layout *l, const char *full_name);
/* Keeps an image that has no name: found by its ID. Nothing to do when index.json has the digest already. */
fallible layout_add_unnamed(struct layout *l, const struct oci_descriptor *target);
/* Lets go of what layout_add_unnamed() keeps; names stay. NOT_FOUND. */
fallible layout_remove_unnamed(struct layout *l, const char *digest);

/* An image, resolved for this machine's (or the asked) platform. */
struct image {
    char *name;            /* the full name it was found by, or NULL (found by id) */
    char *manifest_digest; /* of the platform's manifest */
    char *id;              /* the config's digest: docker's image ID */
    struct oci_manifest *manifest;
    struct oci_image_config *config;
    char *config_text; /* the document itself */
    int64_t size;      /* bytes: config + layers as stored; see layer sizes for unpacked */
};
void image_free(struct image *i);
OWN_TYPE(image, struct image *, image_free)
/**
 * image_find - an image by what a user typed: a name, "name@digest", an ID or a unique prefix of one (>= 2 hex digits;
 *              a name wins over an ID), or a manifest's digest.
 * @platform: "linux/amd64", or NULL: this machine's.
 * Errors: NOT_FOUND, CONFLICT (several IDs match), CORRUPT.
 */
fallible image_find(struct layout *l, const char *what, const char *platform, struct image **ret);
/* For those who look at an image and run nothing: with platform NULL this machine's, or else the first that is here. */
fallible image_find_here(struct layout *l, const char *what, const char *platform, struct image **ret);
/* For those who want its name alone: an index of which nothing is here (a list made by hand, of images elsewhere) is an
 * image without manifest and config; id and manifest_digest are the index's own then. */
fallible image_find_name(struct layout *l, const char *what, struct image **ret);
/* What a descriptor of index.json points at: for this machine's platform, or the first that is here. It has no name. */
fallible image_of_descriptor(struct layout *l, const struct oci_descriptor *d, struct image **ret);
/* The full name that a descriptor of index.json gives its image, or NULL. Caller frees. */
char *image_name_of(const struct oci_descriptor *d);
/* Every image of index.json in its order, once for each name; without a name: NULL. Those whose blobs are missing are
 * passed over with a warning. */
fallible image_list(struct layout *l, struct image ***ret, size_t *ret_n);
/* The same of an index.json that was read before. @ret_all: nothing was passed over but artifacts; may be NULL. */
fallible image_list_of(struct layout *l, const struct oci_index *index, struct image ***ret, size_t *ret_n,
                       bool *ret_all);
/* "linux/amd64" of this build. */
const char *platform_of_host(void);
/* want: "os/architecture[/variant]", or NULL: this machine's. */
bool platform_matches(const struct oci_platform *have, const char *want);
/* "linux/arm/v7"; caller frees. */
char *platform_text(const struct oci_platform *p);
/* A word of the user's ("arm64", "linux/x86_64") in the form above; caller frees. INVALID. */
fallible platform_parse(const char *text, char **ret);
/* Of podman's three options for the same, each NULL or a word; *ret NULL: none was given. */
fallible platform_of_words(const char *os, const char *architecture, const char *variant, char **ret);
/**
 * platform_choose - the manifest of an index that is for a platform. NOT_FOUND lists those that there are.
 * @ret: borrowed from the index.
 */
fallible platform_choose(const struct oci_index *index, const char *want, const struct oci_descriptor **ret);

#endif
