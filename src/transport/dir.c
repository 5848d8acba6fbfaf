/*
 * dir: skopeo's folder of one image: version, manifest.json, each blob in a file named by its digits, and
 * DIGITS.manifest.json for each part of an index. Source: containers-transports(5), "dir:path".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "os/fs.h"
#include "os/root.h"
#include "transport/layout_index.h"
#include "transport/transport.h"

#define VERSION_TEXT "Directory Transport Version: 1.1\n"

enum { DOCUMENT_MAX = 4 << 20 };

struct dir_source {
    struct source s;
    int dir_fd;
};

static fallible open_file(int dir_fd, const char *path, int *ret_fd)
{
    struct stat st;
    own_fd int fd = -1;
    TRY(root_open(dir_fd, path, O_RDONLY | O_NONBLOCK, &fd));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_new(ERR_INVALID, "'%.200s' is no file", path);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible dir_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct dir_source *s = (struct dir_source *)s_;
    own_fd int fd = -1;
    own_mem char *text = NULL;
    size_t len = 0;
    if (digest && !digest_valid(digest))
        return err_new(ERR_INVALID, "'%.200s' is no digest", digest);
    own_mem char *path = digest ? mem_printf("%s.manifest.json", digest_hex(digest)) : mem_strdup("manifest.json");
    TRY(open_file(s->dir_fd, path, &fd));
    TRY(fs_read_fd(fd, path, DOCUMENT_MAX, &text, &len));
    return doc_make(text, len, NULL, digest, ret);
}

static fallible dir_open(struct source *s_, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    struct dir_source *s = (struct dir_source *)s_;
    *ret_offset = 0;
    return open_file(s->dir_fd, digest_hex(d->digest), ret_fd);
}

static void dir_source_free(struct source *s_)
{
    struct dir_source *s = (struct dir_source *)s_;
    close_now(&s->dir_fd);
    free(s);
}

static const struct source_ops dir_source_ops = { .get = dir_get, .open = dir_open, .free = dir_source_free };

fallible source_dir(int take_dir_fd, const char *path, struct source **ret)
{
    struct dir_source *s = mem_zalloc(sizeof *s);
    s->s.ops = &dir_source_ops;
    s->s.transport = "dir";
    s->s.scope = mem_strdup(path);
    s->s.parallel = true;
    s->dir_fd = take_dir_fd;
    *ret = &s->s;
    return NULL;
}

struct dir_sink {
    struct sink s;
    int dir_fd;
};

static fallible dir_has(struct sink *s_, const struct oci_descriptor *const *d, size_t n, bool *ret_has)
{
    struct dir_sink *s = (struct dir_sink *)s_;
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        ret_has[i] = fstatat(s->dir_fd, digest_hex(d[i]->digest), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISREG(st.st_mode) && st.st_size == d[i]->size;
    }
    return NULL;
}

static fallible dir_put(struct sink *s_, const struct oci_descriptor *d, int fd, int64_t offset, bool known)
{
    struct dir_sink *s = (struct dir_sink *)s_;
    return file_put_at(s->dir_fd, digest_hex(d->digest), fd, offset, d->size, known ? NULL : d->digest);
}

static fallible dir_put_doc(struct sink *s_, const struct registry_manifest *doc, enum doc_place place,
                            const char *name)
{
    struct dir_sink *s = (struct dir_sink *)s_;
    own_mem char *path =
        place == DOC_PART ? mem_printf("%s.manifest.json", digest_hex(doc->digest)) : mem_strdup("manifest.json");
    if (place == DOC_REFERRER)
        return err_new(ERR_UNSUPPORTED, "a dir: has room for one image and not for its signatures: use oci:");
    TRY(fs_replace_at(s->dir_fd, "version", VERSION_TEXT, strlen(VERSION_TEXT), 0644, FS_SYNC_NONE));
    return fs_replace_at(s->dir_fd, path, doc->text, doc->len, 0644, FS_SYNC_NONE);
}

static fallible dir_finish(struct sink *s_)
{
    return NULL;
}

static void dir_sink_free(struct sink *s_)
{
    struct dir_sink *s = (struct dir_sink *)s_;
    close_now(&s->dir_fd);
    free(s);
}

static const struct sink_ops dir_sink_ops = {
    .has = dir_has, .put = dir_put, .put_doc = dir_put_doc, .finish = dir_finish, .free = dir_sink_free
};

fallible sink_dir(int take_dir_fd, struct sink **ret)
{
    struct dir_sink *s = mem_zalloc(sizeof *s);
    s->s.ops = &dir_sink_ops;
    s->s.parallel = true;
    s->dir_fd = take_dir_fd;
    *ret = &s->s;
    return NULL;
}
