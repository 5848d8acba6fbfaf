/*
 * oci: a folder that is an OCI image layout, as a source and as a sink.
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

enum { DOCUMENT_MAX = 4 << 20 };

/* ---- index.json of any layout: shared with oci-archive ---- */

static const char *word(const struct oci_descriptor *d, const char *key)
{
    return strmap_get(&d->annotations, key);
}

static char *full_of(const char *name)
{
    own(ref) struct ref *r = NULL;
    err_ignore(name ? ref_parse(name, &r) : NULL, "a name that is no image's");
    return r ? ref_full(r) : NULL;
}

static bool is_called(const struct oci_descriptor *d, const char *name, const char *full)
{
    const char *short_name = word(d, LAYOUT_NAME_KEY), *long_name = word(d, LAYOUT_CONTAINERD_NAME_KEY);
    own_mem char *full_name = full_of(long_name ? long_name : short_name);
    return str_eq(short_name, name) || str_eq(long_name, name) || str_eq(d->digest, name) ||
           (full && str_eq(full_name, full));
}

fallible layout_index_find(const struct oci_index *index, const char *name, const struct oci_descriptor **ret)
{
    own_mem char *full = full_of(name);
    own_str struct str names = { 0 };
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        if (name ? is_called(d, name, full) : index->manifests_n == 1) {
            *ret = d;
            return NULL;
        }
        const char *its = word(d, LAYOUT_CONTAINERD_NAME_KEY);
        its = its ? its : word(d, LAYOUT_NAME_KEY);
        str_printf(&names, "%s%.100s", names.len ? ", " : "", its ? its : d->digest);
    }
    if (!index->manifests_n)
        return err_new(ERR_NOT_FOUND, "it holds no image");
    return err_new(name ? ERR_NOT_FOUND : ERR_INVALID, "%s%s%s: there is %.1000s",
                   name ? "no image '" : "it holds several images: name one", name ? name : "", name ? "'" : "",
                   names.text);
}

char *layout_index_name(const struct oci_descriptor *d)
{
    const char *name = word(d, LAYOUT_CONTAINERD_NAME_KEY);
    return full_of(name ? name : word(d, LAYOUT_NAME_KEY));
}

void layout_index_set(struct oci_index *index, const struct oci_descriptor *target, const char *name, const char *full)
{
    struct oci_descriptor *slot = NULL;
    struct oci_descriptor *added = descriptor_copy(target);
    for (size_t i = 0; i < index->manifests_n && !slot; i++)
        if (name ? str_eq(word(&index->manifests[i], LAYOUT_NAME_KEY), name)
                 : str_eq(index->manifests[i].digest, target->digest) && !word(&index->manifests[i], LAYOUT_NAME_KEY))
            slot = &index->manifests[i];
    if (name)
        strmap_set(&added->annotations, LAYOUT_NAME_KEY, name);
    if (name && full)
        strmap_set(&added->annotations, LAYOUT_CONTAINERD_NAME_KEY, full);
    if (slot) {
        struct oci_descriptor old = *slot;
        *slot = *added;
        *added = old;
        descriptor_copy_free(added);
        return;
    }
    index->manifests = mem_array(index->manifests, index->manifests_n + 1, sizeof *index->manifests);
    index->manifests[index->manifests_n++] = *added;
    free(added);
}

/* ---- source ---- */

struct oci_source {
    struct source s;
    int dir_fd;
    struct oci_index *index;
    const struct oci_descriptor *top; /* in index */
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

static fallible read_file(int dir_fd, const char *path, char **ret_text, size_t *ret_len)
{
    own_fd int fd = -1;
    TRY(open_file(dir_fd, path, &fd));
    return fs_read_fd(fd, path, DOCUMENT_MAX, ret_text, ret_len);
}

static fallible oci_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct oci_source *s = (struct oci_source *)s_;
    own_mem char *text = NULL;
    size_t len = 0;
    digest = digest ? digest : s->top->digest;
    if (!digest_valid(digest))
        return err_new(ERR_INVALID, "'%.200s' is no digest", digest);
    own_mem char *path = layout_blob_path(digest);
    TRY(read_file(s->dir_fd, path, &text, &len));
    return doc_make(text, len, NULL, digest, ret);
}

static fallible oci_open(struct source *s_, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    struct oci_source *s = (struct oci_source *)s_;
    own_mem char *path = layout_blob_path(d->digest);
    *ret_offset = 0;
    return open_file(s->dir_fd, path, ret_fd);
}

/* Of an image that is called a/b:c, the tag d of the same repository is a/b:d. */
static fallible oci_tagged(struct source *s_, const char *tag, struct registry_manifest **ret)
{
    struct oci_source *s = (struct oci_source *)s_;
    own(ref) struct ref *r = NULL;
    const struct oci_descriptor *d = NULL;
    if (!s->s.name)
        return err_new(ERR_NOT_FOUND, "the image has no name");
    TRY(ref_parse(s->s.name, &r));
    own_mem char *full = mem_printf("%s/%s:%s", r->registry, r->repository, tag);
    TRY(layout_index_find(s->index, full, &d));
    return oci_get(s_, d->digest, ret);
}

static void oci_source_free(struct source *s_)
{
    struct oci_source *s = (struct oci_source *)s_;
    close_now(&s->dir_fd);
    oci_index_free(s->index);
    free(s);
}

static const struct source_ops oci_source_ops = {
    .get = oci_get, .open = oci_open, .tagged = oci_tagged, .free = oci_source_free
};

fallible source_oci(int take_dir_fd, const char *path, const char *name, struct source **ret)
{
    own(source) struct source *made = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    struct oci_source *s = mem_zalloc(sizeof *s);
    made = &s->s;
    s->s.ops = &oci_source_ops;
    s->s.transport = "oci";
    s->s.scope = mem_strdup(path);
    s->s.parallel = true;
    s->dir_fd = take_dir_fd;
    TRY(read_file(s->dir_fd, "index.json", &text, &len));
    TRY_AS(oci_index_read(text, len, &s->index), "index.json");
    TRY(layout_index_find(s->index, name, &s->top));
    s->s.name = layout_index_name(s->top);
    *ret = take(made);
    return NULL;
}

/* ---- sink ---- */

struct oci_sink {
    struct sink s;
    int dir_fd;
    char *annotation; /* the name as it was given */
};

static fallible oci_has(struct sink *s_, const struct oci_descriptor *const *d, size_t n, bool *ret_has)
{
    struct oci_sink *s = (struct oci_sink *)s_;
    for (size_t i = 0; i < n; i++) {
        own_mem char *path = layout_blob_path(d[i]->digest);
        struct stat st;
        ret_has[i] =
            fstatat(s->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size == d[i]->size;
    }
    return NULL;
}

fallible file_put_at(int dir_fd, const char *path, int fd, int64_t offset, int64_t size, const char *digest)
{
    char random[17];
    const char *slash = strrchr(path, '/');
    random_hex(random, 8);
    own_mem char *staged = mem_printf("%.*s.husk-%s", slash ? (int)(slash - path) + 1 : 0, path, random);
    if (slash) {
        own_mem char *dir = mem_strndup(path, (size_t)(slash - path));
        TRY(fs_mkdirs_at(dir_fd, dir, 0755));
    }
    own_fd int out = openat(dir_fd, staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (out < 0)
        return err_sys(errno, "make '%s'", path);
    err *e = bytes_move(fd, offset, size, out, digest);
    if (!e && renameat(dir_fd, staged, dir_fd, path) < 0)
        e = err_sys(errno, "put '%s' in place", path);
    if (e)
        (void)unlinkat(dir_fd, staged, 0);
    return e;
}

static fallible oci_put(struct sink *s_, const struct oci_descriptor *d, int fd, int64_t offset, bool known)
{
    struct oci_sink *s = (struct oci_sink *)s_;
    own_mem char *path = layout_blob_path(d->digest);
    return file_put_at(s->dir_fd, path, fd, offset, d->size, known ? NULL : d->digest);
}

static fallible read_index(struct oci_sink *s, struct oci_index **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    err *e = read_file(s->dir_fd, "index.json", &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "a new one");
        text = mem_printf("{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[]}", MEDIA_OCI_INDEX);
        len = strlen(text);
        e = NULL;
    }
    TRY(e);
    TRY_AS(oci_index_read(text, len, ret), "index.json");
    return NULL;
}

static fallible oci_put_doc(struct sink *s_, const struct registry_manifest *doc, enum doc_place place,
                            const char *name)
{
    struct oci_sink *s = (struct oci_sink *)s_;
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *path = layout_blob_path(doc->digest);
    own_mem char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    struct oci_descriptor target = doc_descriptor(doc);
    TRY(fs_mkdirs_at(s->dir_fd, dir, 0755));
    TRY(fs_replace_at(s->dir_fd, path, doc->text, doc->len, 0644, FS_SYNC_NONE));
    if (place == DOC_PART)
        return NULL;
    TRY(read_index(s, &index));
    bool mine = s->annotation && str_eq(name, s->s.name);
    layout_index_set(index, &target, mine ? s->annotation : name, name);
    own_mem char *text = bind_write(&oci_index_type, index, BIND_COMPACT);
    TRY(fs_replace_at(s->dir_fd, "index.json", text, strlen(text), 0644, FS_SYNC_NONE));
    return fs_replace_at(s->dir_fd, "oci-layout", LAYOUT_VERSION_TEXT, strlen(LAYOUT_VERSION_TEXT), 0644, FS_SYNC_NONE);
}

static fallible oci_finish(struct sink *s_)
{
    return NULL;
}

static void oci_sink_free(struct sink *s_)
{
    struct oci_sink *s = (struct oci_sink *)s_;
    close_now(&s->dir_fd);
    free(s->annotation);
    free(s);
}

static const struct sink_ops oci_sink_ops = {
    .has = oci_has, .put = oci_put, .put_doc = oci_put_doc, .finish = oci_finish, .free = oci_sink_free
};

fallible sink_oci(int take_dir_fd, const char *name, struct sink **ret)
{
    struct oci_sink *s = mem_zalloc(sizeof *s);
    s->s.ops = &oci_sink_ops;
    s->s.parallel = true;
    s->s.name = full_of(name);
    s->dir_fd = take_dir_fd;
    s->annotation = s->s.name ? mem_strdup(name) : NULL;
    *ret = &s->s;
    return NULL;
}
