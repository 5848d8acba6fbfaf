/*
 * diff.h: what a container changed, out of its overlay upper directory: as a list (added, changed, deleted), as a
 * layer's tar, packed, and as a blob of the store. The reverse of layers/untar.h: what one writes the other makes
 * again.
 *
 * The tar is the same for the same tree: entries are sorted by name, a directory before what is in it, hard links lead
 * to the first name. Overlayfs's marks become the image-spec's: a character device 0:0 (or an empty file marked with
 * {trusted,user}.overlay.whiteout) is ".wh.NAME", an opaque directory holds ".wh..wh..opq". Overlayfs's own attributes
 * and SELinux labels are left out, so are sockets. Files with holes are written as PAX sparse files (GNU 1.0).
 *
 * Owners are written as this process sees them: for an ordinary user's store the caller is root of the user namespace
 * of os/userns.h, as with untar(). Directories that overlayfs renamed (redirect_dir) are refused: husk does not ask for
 * it, and the kernel's own default is off. Source: image-spec layer.md; overlayfs.rst.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_DIFF_H
#define HUSK_LAYERS_DIFF_H

#include <stdint.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "os/ids.h"

struct diff {
    int upper_fd;              /* the directory; borrowed; O_PATH will do */
    const struct strv *lowers; /* directories below it, absolute, topmost first; NULL: none. diff_list() tells by them
                                  what is new and what is changed; diff_tar() needs them only for files of which
                                  overlayfs copied up the attributes alone (metacopy) */
    const struct strv *skip;   /* paths to leave out with all below them, "etc/hosts"; NULL: none */
    const struct id_map *uids; /* the owner on disk is "outside", the one in the tar "inside"; NULL: the same */
    const struct id_map *gids;
    int64_t newest_s;   /* later modification times are written as this one (SOURCE_DATE_EPOCH); 0: as they are */
    const char *prefix; /* in front of every name: "etc" for "etc/passwd"; the root is "etc/". NULL: none */
    bool no_made_times; /* directories and whiteouts all have the time 0: a layer gives whiteouts none, and directories
                           that it does not list get that of their unpacking */
    bool whole; /* a whole tree (export), no difference: nothing in it is a whiteout, and the root has an entry */
};

enum diff_kind { DIFF_ADDED = 'A', DIFF_CHANGED = 'C', DIFF_DELETED = 'D' };
typedef err *diff_tell(void *ctx, enum diff_kind kind, const char *path);
/**
 * diff_list - each change, sorted: a directory before what is in it.
 * path: "/etc/passwd". A directory is changed when its mode, owner or time is, or something in it.
 */
fallible diff_list(const struct diff *d, diff_tell *tell, void *ctx);

typedef err *diff_write(void *ctx, const void *bytes, size_t n);
/* The layer's tar, piece by piece. Errors name the path; UNSUPPORTED: redirects, metacopy without lowers. */
fallible diff_tar(const struct diff *d, diff_write *write, void *ctx);

/*
 * An entry that is in the upper directory already, for a tar that is made while the tree is: in the order of
 * diff_tar(), a directory before what is in it. No whiteouts, opaque directories or devices.
 */
enum { DIFF_MADE_PATH_MAX = 3900 };
struct diff_made {
    const char *path;  /* "etc/passwd", no longer than that */
    struct stat st;    /* as it will be in the end; st_nlink > 1: other names of it may follow */
    const void *bytes; /* st_size of them: all that a file has that has no attributes; NULL: it is read */
};
/* Is it written into a layer, or the host's own? */
bool diff_keeps_xattr(const char *name);

/* From here on: with hashing and packing, so only husk-image links it. */
#include "codec/stream.h"
#include "image/layout.h"

struct diff_result {
    char *diff_id;          /* digest of the tar */
    char *digest;           /* digest of the packed bytes; the diffID again for STREAM_PLAIN */
    int64_t tar_size, size; /* unpacked, packed */
    const char *media_type; /* borrowed: forever */
};
void diff_result_clear(struct diff_result *r);
static inline void own_drop_diff_result(struct diff_result *r)
{
    diff_result_clear(r);
}
/**
 * diff_pack - the tar to a descriptor.
 * @form: STREAM_PLAIN, STREAM_GZIP or STREAM_ZSTD. @level: of the packing; 0: its default.
 */
fallible diff_pack(const struct diff *d, enum stream_form form, int level, int out_fd, struct diff_result *ret);
/* The tar into the store as a blob, synced. Within layout_begin_adding(). */
fallible diff_put(const struct diff *d, enum stream_form form, int level, struct layout *l, struct diff_result *ret);

/* The same while the tree is being made: hashed and packed by a thread of its own, so who begins it may not fork before
 * diff_stream_end() or diff_stream_free(). */
struct diff_stream;
/* d: copied; what it points to is borrowed. */
fallible diff_stream_begin(const struct diff *d, enum stream_form form, int level, struct layout *l,
                           struct diff_stream **ret);
fallible diff_stream_add(struct diff_stream *s, const struct diff_made *made);
fallible diff_stream_end(struct diff_stream *s, struct diff_result *ret);
/* What was not ended leaves nothing. */
void diff_stream_free(struct diff_stream *s);
OWN_TYPE(diff_stream, struct diff_stream *, diff_stream_free)

#endif
