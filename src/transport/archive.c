/*
 * docker-archive, oci-archive as a source. The tar is mapped and its members are found where they lie, so a blob is a
 * range of the file. What cannot be mapped (a pipe, a packed archive) is unpacked into a file without a name first.
 *
 * A docker-archive with an index.json (docker 25 and later, husk) is read as the layout that it also is, which gives
 * the very manifest; an older one gets an OCI manifest over its config, and its layers are hashed.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "codec/digest.h"
#include "codec/stream.h"
#include "codec/tar.h"
#include "layers/load.h"
#include "layers/untar.h"
#include "os/fs.h"
#include "transport/layout_index.h"
#include "transport/transport.h"

enum { MEMBERS_MAX = 1 << 16, LINKS_MAX = 8, DOCUMENT_MAX = 4 << 20, CHUNK = 1 << 20 };

struct member {
    char *path, *link; /* link: another member */
    int64_t offset, size;
};
/* A blob of the image that is not called by its digest in the archive. */
struct alias {
    char *digest;
    const struct member *member;
};
struct archive_source {
    struct source s;
    int fd;
    const unsigned char *map;
    size_t map_size;
    struct member *members;
    size_t n;
    struct oci_index *index;
    struct registry_manifest *top;
    struct alias *aliases;
    size_t aliases_n;
};

/* ---- the bytes ---- */

static fallible unpack_to_file(int in_fd, int tmp_fd)
{
    struct untar_limits limits = { 0 };
    own(stream) struct stream *stream = NULL;
    own_mem char *buf = mem_alloc(CHUNK);
    TRY(untar_limits_fill(&limits));
    TRY(stream_open(stream_source_fd(&in_fd), limits.bytes, &stream));
    for (size_t n = 1; n;) {
        TRY(stream_read(stream, buf, CHUNK, &n));
        TRY(fs_write_fd(tmp_fd, buf, n, "the unpacked archive"));
    }
    return NULL;
}

static bool is_plain_file(int fd)
{
    struct stat st;
    unsigned char begin[STREAM_MAGIC_SIZE];
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    ssize_t n = pread(fd, begin, sizeof begin, 0);
    return n > 0 && stream_form_of(begin, (size_t)n) == STREAM_PLAIN;
}

static fallible map_archive(struct archive_source *s, int tmp_fd)
{
    struct stat st;
    if (!is_plain_file(s->fd)) {
        TRY(unpack_to_file(s->fd, tmp_fd));
        close_now(&s->fd);
        s->fd = fcntl(tmp_fd, F_DUPFD_CLOEXEC, 3);
    }
    if (fstat(s->fd, &st) < 0)
        return err_sys(errno, "look at it");
    if (st.st_size == 0)
        return err_new(ERR_INVALID, "it is empty");
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, s->fd, 0);
    if (map == MAP_FAILED)
        return err_sys(errno, "map it");
    s->map = map;
    s->map_size = (size_t)st.st_size;
    return NULL;
}

/* ---- members ---- */

static const struct member *find_exactly(const struct archive_source *s, const char *path)
{
    for (size_t i = s->n; i-- > 0;)
        if (strcmp(s->members[i].path, path) == 0)
            return &s->members[i];
    return NULL;
}

static fallible find_member(const struct archive_source *s, const char *path, const struct member **ret)
{
    char clean[TAR_NAME_MAX + 1];
    const struct member *m = NULL;
    if (strlen(path) <= TAR_NAME_MAX && tar_clean_path(path, clean))
        m = find_exactly(s, clean);
    for (int i = 0; m && m->link; i++)
        m = i < LINKS_MAX ? find_exactly(s, m->link) : NULL;
    *ret = m;
    return m ? NULL : err_new(ERR_NOT_FOUND, "it has no file '%.200s'", path);
}

static fallible add_member(struct archive_source *s, struct tar *t, const struct tar_entry *e)
{
    char path[TAR_NAME_MAX + 1], target[TAR_NAME_MAX + 1];
    struct member m = { 0 };
    if (!tar_clean_path(e->path, path))
        return err_new(ERR_INVALID, "'%.200s': the name leads out of the archive", e->path);
    if (e->type == TAR_SYMLINK || e->type == TAR_HARD_LINK) {
        const char *slash = strrchr(path, '/');
        bool relative = e->type == TAR_SYMLINK && e->link[0] != '/' && slash;
        own_mem char *to = relative ? mem_printf("%.*s/%s", (int)(slash - path), path, e->link) : mem_strdup(e->link);
        if (strlen(to) > TAR_NAME_MAX || !tar_clean_path(to, target))
            return err_new(ERR_INVALID, "'%.200s': the link leads out of the archive", e->path);
        m.link = mem_strdup(target);
    } else if (e->type == TAR_FILE && !e->sparse) {
        uint64_t offset = 0;
        const unsigned char *bytes = NULL;
        size_t n = 0;
        if (e->size)
            TRY(tar_data(t, &offset, &bytes, &n));
        m.offset = bytes ? bytes - s->map : 0;
        m.size = (int64_t)e->size;
        if (m.offset < 0 || (uint64_t)m.offset + e->size > s->map_size)
            return err_new(ERR_CORRUPT, "'%.200s': the archive ends in the middle of this entry", path);
    } else {
        return NULL;
    }
    if (s->n == MEMBERS_MAX) {
        free(m.link);
        return err_new(ERR_EXHAUSTED, "the archive has more than %d members", MEMBERS_MAX);
    }
    s->members = mem_array(s->members, s->n + 1, sizeof *s->members);
    m.path = mem_strdup(path);
    s->members[s->n++] = m;
    return NULL;
}

struct whole {
    const struct archive_source *s;
    bool given;
};
static fallible next_bytes(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct whole *w = ctx;
    *ret_bytes = w->s->map;
    *ret_n = w->given ? 0 : w->s->map_size;
    w->given = true;
    return NULL;
}

static fallible list_members(struct archive_source *s)
{
    struct whole whole = { .s = s };
    own(tar) struct tar *t = tar_new((struct tar_source){ next_bytes, &whole });
    for (;;) {
        const struct tar_entry *e = NULL;
        TRY(tar_next(t, &e));
        if (!e)
            return NULL;
        TRY(add_member(s, t, e));
    }
}

static fallible read_document(struct archive_source *s, const char *path, const char **ret_text, size_t *ret_len)
{
    const struct member *m = NULL;
    TRY(find_member(s, path, &m));
    if (m->size > DOCUMENT_MAX)
        return err_new(ERR_EXHAUSTED, "'%.200s' has more than %d bytes", path, DOCUMENT_MAX);
    *ret_text = (const char *)s->map + m->offset;
    *ret_len = (size_t)m->size;
    return NULL;
}

/* ---- as an OCI layout ---- */

static fallible archive_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct archive_source *s = (struct archive_source *)s_;
    const char *text = NULL;
    size_t len = 0;
    if (!digest || str_eq(digest, s->top->digest)) {
        *ret = doc_copy(s->top);
        return NULL;
    }
    if (!digest_valid(digest))
        return err_new(ERR_INVALID, "'%.200s' is no digest", digest);
    own_mem char *path = layout_blob_path(digest);
    TRY(read_document(s, path, &text, &len));
    return doc_make(text, len, NULL, digest, ret);
}

static fallible archive_open(struct source *s_, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    struct archive_source *s = (struct archive_source *)s_;
    const struct member *m = NULL;
    for (size_t i = 0; i < s->aliases_n && !m; i++)
        if (str_eq(s->aliases[i].digest, d->digest))
            m = s->aliases[i].member;
    if (!m) {
        own_mem char *path = layout_blob_path(d->digest);
        TRY(find_member(s, path, &m));
    }
    if (m->size != d->size)
        return err_new(ERR_CORRUPT, "'%.200s' has %lld bytes instead of %lld", m->path, (long long)m->size,
                       (long long)d->size);
    *ret_offset = m->offset;
    *ret_fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
    return *ret_fd < 0 ? err_sys(errno, "open it again") : NULL;
}

static fallible archive_tagged(struct source *s_, const char *tag, struct registry_manifest **ret)
{
    struct archive_source *s = (struct archive_source *)s_;
    own(ref) struct ref *r = NULL;
    const struct oci_descriptor *d = NULL;
    if (!s->s.name || !s->index)
        return err_new(ERR_NOT_FOUND, "the image has no name");
    TRY(ref_parse(s->s.name, &r));
    own_mem char *full = mem_printf("%s/%s:%s", r->registry, r->repository, tag);
    TRY(layout_index_find(s->index, full, &d));
    return archive_get(s_, d->digest, ret);
}

static void archive_source_free(struct source *s_)
{
    struct archive_source *s = (struct archive_source *)s_;
    if (s->map)
        (void)munmap((void *)s->map, s->map_size);
    close_now(&s->fd);
    for (size_t i = 0; i < s->n; i++) {
        free(s->members[i].path);
        free(s->members[i].link);
    }
    free(s->members);
    for (size_t i = 0; i < s->aliases_n; i++)
        free(s->aliases[i].digest);
    free(s->aliases);
    oci_index_free(s->index);
    registry_manifest_free(s->top);
    free(s);
}

static const struct source_ops archive_source_ops = {
    .get = archive_get, .open = archive_open, .tagged = archive_tagged, .free = archive_source_free
};

static fallible begin_layout(struct archive_source *s, const char *name)
{
    const struct oci_descriptor *d = NULL;
    const char *text = NULL;
    size_t len = 0;
    TRY(read_document(s, "index.json", &text, &len));
    TRY_AS(oci_index_read(text, len, &s->index), "index.json");
    TRY(layout_index_find(s->index, name, &d));
    own_mem char *path = layout_blob_path(d->digest);
    TRY(read_document(s, path, &text, &len));
    TRY(doc_make(text, len, d->media_type, d->digest, &s->top));
    s->s.name = layout_index_name(d);
    return NULL;
}

/* ---- as docker writes it ---- */

static fallible add_alias(struct archive_source *s, const char *path, struct oci_descriptor *ret)
{
    const struct member *m = NULL;
    TRY(find_member(s, path, &m));
    ret->digest = digest_of(s->map + m->offset, (size_t)m->size);
    ret->size = m->size;
    s->aliases = mem_array(s->aliases, s->aliases_n + 1, sizeof *s->aliases);
    s->aliases[s->aliases_n++] = (struct alias){ mem_strdup(ret->digest), m };
    return NULL;
}

static fallible layer_type(const struct archive_source *s, const char *path, const char **ret)
{
    const struct member *m = NULL;
    TRY(find_member(s, path, &m));
    return load_layer_media_type(stream_form_of(s->map + m->offset, (size_t)m->size), ret);
}

static fallible make_manifest(struct archive_source *s, const struct docker_image *image)
{
    own(oci_manifest) struct oci_manifest *m = mem_zalloc(sizeof *m);
    m->schema_version = 2;
    m->media_type = mem_strdup(MEDIA_OCI_MANIFEST);
    m->config = mem_zalloc(sizeof *m->config);
    m->config->media_type = mem_strdup(MEDIA_OCI_CONFIG);
    TRY(add_alias(s, image->config, m->config));
    m->layers = mem_array(NULL, image->layers.n + 1, sizeof *m->layers);
    for (size_t i = 0; i < image->layers.n; i++) {
        const char *type = NULL;
        struct oci_descriptor *layer = &m->layers[m->layers_n++];
        *layer = (struct oci_descriptor){ 0 };
        TRY(add_alias(s, image->layers.items[i], layer));
        TRY_AS(layer_type(s, image->layers.items[i], &type), "'%.200s'", image->layers.items[i]);
        layer->media_type = mem_strdup(type);
    }
    own_mem char *text = bind_write(&oci_manifest_type, m, BIND_COMPACT);
    return doc_make(text, strlen(text), NULL, NULL, &s->top);
}

static bool has_name(const struct docker_image *image, const char *full)
{
    for (size_t i = 0; i < image->repo_tags.n; i++) {
        own(ref) struct ref *r = NULL;
        err_ignore(ref_parse(image->repo_tags.items[i], &r), "a name that is none");
        own_mem char *its = r ? ref_full(r) : NULL;
        if (str_eq(its, full))
            return true;
    }
    return false;
}

static fallible begin_docker(struct archive_source *s, const char *name)
{
    own_json json_t *doc = NULL;
    own(ref) struct ref *ref = NULL;
    const char *text = NULL;
    size_t len = 0;
    TRY(read_document(s, "manifest.json", &text, &len));
    TRY(json_parse("manifest.json", text, len, &doc));
    if (name)
        TRY(ref_parse(name, &ref));
    own_mem char *full = ref ? ref_full(ref) : NULL;
    size_t n = json_array_size(doc);
    for (size_t i = 0; i < n; i++) {
        own(docker_image) struct docker_image *image = NULL;
        TRY_AS(docker_image_read(json_array_get(doc, i), &image), "manifest.json");
        if (full ? !has_name(image, full) : n > 1)
            continue;
        own(ref) struct ref *its = NULL;
        if (!full && image->repo_tags.n)
            err_ignore(ref_parse(image->repo_tags.items[0], &its), "then it has no name");
        s->s.name = full ? mem_strdup(full) : its ? ref_full(its) : NULL;
        return make_manifest(s, image);
    }
    if (n > 1 && !name)
        return err_new(ERR_INVALID, "it holds %zu images: name one", n);
    return n ? err_new(ERR_NOT_FOUND, "it holds no image '%s'", name)
             : err_new(ERR_INVALID, "manifest.json lists no images");
}

fallible source_archive(int take_fd, int tmp_fd, enum archive_kind kind, const char *path, const char *name,
                        struct source **ret)
{
    own(source) struct source *made = NULL;
    const struct member *m = NULL;
    struct archive_source *s = mem_zalloc(sizeof *s);
    made = &s->s;
    s->s.ops = &archive_source_ops;
    s->s.transport = kind == ARCHIVE_DOCKER ? "docker-archive" : "oci-archive";
    s->s.scope = mem_strdup(kind == ARCHIVE_DOCKER ? "" : path);
    s->s.parallel = true;
    s->fd = take_fd;
    TRY_AS(map_archive(s, tmp_fd), "archive '%s'", path);
    TRY_AS(list_members(s), "archive '%s'", path);
    bool layout = find_exactly(s, "index.json") && find_exactly(s, "oci-layout");
    err_ignore(find_member(s, "manifest.json", &m), "perhaps it is no docker-archive");
    if (kind == ARCHIVE_OCI && !layout)
        return err_new(ERR_INVALID, "archive '%s': it is no oci-archive (no index.json)%s", path,
                       m ? ": it is a docker-archive" : "");
    if (kind == ARCHIVE_DOCKER && !m)
        return err_new(ERR_INVALID, "archive '%s': it is no docker-archive (no manifest.json)%s", path,
                       layout ? ": it is an oci-archive" : "");
    TRY_AS(layout ? begin_layout(s, name) : begin_docker(s, name), "archive '%s'", path);
    *ret = take(made);
    return NULL;
}
