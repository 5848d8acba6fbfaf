// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/artifact.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/digest.h"
#include "codec/pool.h"
#include "image/blob.h"
#include "os/fs.h"

#define NAME_KEY   "org.opencontainers.image.ref.name"
#define EMPTY_TYPE "application/vnd.oci.empty.v1+json"

enum { BLOBS_MAX = 1000, DOWNLOADS = 3, SHORT_ID = 12, COPY_SIZE = 1 << 18 };

void artifact_free(struct artifact *a)
{
    if (!a)
        return;
    free(a->name);
    free(a->digest);
    free(a->text);
    oci_manifest_free(a->manifest);
    free(a);
}

/* ---- pull ---- */

struct fetch {
    struct layout *l;
    struct registry *registry;
    const struct progress *progress;
    const struct oci_descriptor **blobs;
    size_t n;
};
struct watch {
    const struct fetch *f;
    struct pool *pool;
    size_t blob;
};

static void tell(const struct fetch *f, size_t i, enum progress_state state, int64_t done)
{
    if (f->progress->layer)
        f->progress->layer(f->progress->ctx, i, state, done, f->blobs[i]->size);
}

static err *on_bytes(void *ctx, int64_t bytes)
{
    const struct watch *w = ctx;
    tell(w->f, w->blob, PROGRESS_DOWNLOADING, bytes);
    return pool_stopping(w->pool) ? err_new(ERR_CANCELLED, "another blob went wrong") : NULL;
}

static fallible fetch_blob(struct fetch *f, struct pool *pool, size_t i)
{
    const struct oci_descriptor *d = f->blobs[i];
    struct watch w = { f, pool, i };
    own(blob) struct blob *b = NULL;
    TRY(blob_begin(f->l, d->digest, d->size, &b));
    if (!b) {
        tell(f, i, PROGRESS_EXISTS, d->size);
        return NULL;
    }
    err *e = blob_bytes(b) < d->size || !d->size ? registry_get_blob(f->registry, d->digest, b, on_bytes, &w) : NULL;
    if (!e)
        e = blob_end(b);
    if (err_is(e, ERR_CORRUPT) || err_is(e, ERR_EXHAUSTED))
        blob_discard(take(b));
    if (!e)
        tell(f, i, PROGRESS_DONE, d->size);
    return e;
}

static err *fetch_job(struct pool *pool, void *ctx, size_t i)
{
    struct fetch *f = ctx;
    TRY_AS(fetch_blob(f, pool, i), "blob %.*s", SHORT_ID, digest_hex(f->blobs[i]->digest));
    return NULL;
}

static fallible fetch_blobs(struct fetch *f, const struct oci_manifest *m)
{
    own_strv struct strv ids = { 0 };
    own_mem const struct oci_descriptor **list = mem_array(NULL, m->layers_n + 1, sizeof *list);
    for (size_t i = 0; i < m->layers_n; i++)
        list[f->n++] = &m->layers[i];
    list[f->n++] = m->config;
    f->blobs = list;
    for (size_t i = 0; i < f->n; i++)
        strv_add_printf(&ids, "%.*s", SHORT_ID, digest_hex(list[i]->digest));
    if (f->progress->begin)
        f->progress->begin(f->progress->ctx, f->n, (const char *const *)ids.items);
    return pool_run(DOWNLOADS, f->n, fetch_job, f);
}

static fallible read_manifest(const struct registry_manifest *m, struct oci_manifest **ret)
{
    if (media_is_index(m->media_type))
        return err_new(ERR_UNSUPPORTED, "it is an index, no artifact: husk pull fetches images");
    err *e = oci_manifest_read(m->text, m->len, ret);
    if (err_is(e, ERR_INVALID)) {
        own(err) err *wrong = e;
        return err_new(ERR_CORRUPT, "what the registry sends is wrong: %s", err_text(wrong));
    }
    TRY(e);
    if (oci_manifest_is_image(*ret))
        return err_new(ERR_UNSUPPORTED, "it is a container image, no artifact: husk pull fetches it");
    if ((*ret)->layers_n > BLOBS_MAX)
        return err_new(ERR_EXHAUSTED, "it has more than %d blobs", BLOBS_MAX);
    return NULL;
}

static fallible set_name(struct layout *l, const struct ref *ref, const char *media_type, const char *digest,
                         size_t len)
{
    struct oci_descriptor d = { .media_type = mem_strdup(media_type),
                                .digest = mem_strdup(digest),
                                .size = (int64_t)len };
    own_mem char *name = ref_full(ref);
    err *e = layout_set_name(l, name, &d);
    free(d.media_type);
    free(d.digest);
    return e;
}

static fallible pull(struct layout *l, const struct ref *ref, const struct pull_options *o, char **ret_digest)
{
    own(registry) struct registry *registry = NULL;
    own(registry_manifest) struct registry_manifest *m = NULL;
    own(oci_manifest) struct oci_manifest *manifest = NULL;
    own_mem char *digest = NULL;
    TRY(registry_open(ref, &o->registry, &registry));
    TRY(registry_get_manifest(registry, ref->digest ? ref->digest : ref->tag, &m));
    TRY(read_manifest(m, &manifest));
    if (o->admit)
        TRY(o->admit(o->admit_ctx, m, NULL));
    struct fetch f = { .l = l, .registry = registry, .progress = &o->progress };
    TRY(fetch_blobs(&f, manifest));
    TRY(blob_put(l, m->text, m->len, &digest));
    TRY(set_name(l, ref, m->media_type, digest, m->len));
    *ret_digest = take(digest);
    return NULL;
}

fallible artifact_pull(struct layout *l, const struct ref *ref, const struct pull_options *options, char **ret_digest)
{
    own_mem char *shown = ref_familiar(ref);
    TRY_AS(pull(l, ref, options, ret_digest), "artifact '%s'", shown);
    return NULL;
}

/* ---- add ---- */

static fallible each_piece(int fd, const char *name, err *(*take_piece)(void *ctx, const void *bytes, size_t n),
                           void *ctx)
{
    own_mem char *buf = mem_alloc(COPY_SIZE);
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "'%s'", name);
    for (;;) {
        ssize_t n = read(fd, buf, COPY_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read '%s'", name);
        if (!n)
            return NULL;
        TRY(take_piece(ctx, buf, (size_t)n));
    }
}

static err *hash_piece(void *ctx, const void *bytes, size_t n)
{
    digest_add(ctx, bytes, n);
    return NULL;
}

static err *keep_piece(void *ctx, const void *bytes, size_t n)
{
    return blob_add(ctx, bytes, n);
}

/* Read twice: the blob's name is its digest. A file that changes meanwhile is caught by the second reading. */
static fallible add_file(struct layout *l, const struct artifact_file *file, bool no_title, json_t *layers)
{
    struct stat st;
    own(digest) struct digest *hash = NULL;
    own(blob) struct blob *b = NULL;
    if (fstat(file->fd, &st) < 0)
        return err_sys(errno, "'%s'", file->title);
    TRY(digest_new(NULL, &hash));
    TRY(each_piece(file->fd, file->title, hash_piece, hash));
    own_mem char *digest = digest_end(hash);
    TRY(blob_begin(l, digest, st.st_size, &b));
    if (b) {
        TRY(blob_restart(b));
        TRY(each_piece(file->fd, file->title, keep_piece, b));
        TRY(blob_end(b));
    }
    json_t *layer = json_pack("{s:s, s:s, s:I, s:{s:s}}", "mediaType", file->media_type, "digest", digest, "size",
                              (json_int_t)st.st_size, "annotations", ARTIFACT_TITLE, file->title);
    if (layer && no_title)
        (void)json_object_del(layer, "annotations");
    if (!layer)
        return err_new(ERR_INVALID, "'%s': the name is not UTF-8", file->title);
    json_array_append_new(layers, layer);
    return NULL;
}

static fallible add_annotations(const struct strv *words, json_t *doc)
{
    json_t *map = json_object_get(doc, "annotations");
    if (words && words->n && !map)
        json_object_set_new(doc, "annotations", map = json_object());
    for (size_t i = 0; words && i < words->n; i++) {
        const char *equals = strchr(words->items[i], '=');
        if (!equals || equals == words->items[i])
            return err_new(ERR_INVALID, "annotation '%.100s' is not of the form KEY=VALUE", words->items[i]);
        own_mem char *key = mem_strndup(words->items[i], (size_t)(equals - words->items[i]));
        if (json_object_set_new(map, key, json_string(equals + 1)) < 0)
            return err_new(ERR_INVALID, "annotation '%.100s' is not UTF-8", key);
    }
    return NULL;
}

static fallible check_free(struct layout *l, const struct ref *ref, enum artifact_how how)
{
    own(artifact) struct artifact *old = NULL;
    err *e = artifact_find(l, ref, &old);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "it is free");
        return NULL;
    }
    if (!e && how == ARTIFACT_REPLACE)
        return NULL;
    if (how == ARTIFACT_REPLACE) /* an image is not ours to replace */
        return e;
    err_ignore(e, "whatever it is");
    own_mem char *name = ref_full(ref);
    return err_new(ERR_EXISTS, "the name '%s' is taken: remove it first (husk artifact rm, husk rmi), or say --replace",
                   name);
}

static fallible config_of(struct layout *l, const struct artifact_wish *w, json_t **ret)
{
    const char *text = w->config ? w->config : "{}", *type = w->config_type ? w->config_type : EMPTY_TYPE;
    own_mem char *digest = NULL;
    TRY(blob_put(l, text, strlen(text), &digest));
    *ret = json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size", (json_int_t)strlen(text));
    if (!*ret)
        return err_new(ERR_INVALID, "the config's type is not UTF-8");
    if (!w->config)
        json_object_set_new(*ret, "data", json_string("e30="));
    return NULL;
}

static fallible write_manifest(struct layout *l, json_t *doc, char **ret_digest, int64_t *ret_size)
{
    own_mem char *text = json_text(doc, BIND_COMPACT);
    *ret_size = (int64_t)strlen(text);
    return blob_put(l, text, strlen(text), ret_digest);
}

fallible artifact_make(struct layout *l, const struct artifact_wish *wish, const struct artifact_file *files, size_t n,
                       char **ret_digest, int64_t *ret_size)
{
    json_t *config = NULL;
    TRY(config_of(l, wish, &config));
    own_json json_t *doc =
        json_pack("{s:i, s:s, s:s, s:o, s:[]}", "schemaVersion", 2, "mediaType", MEDIA_OCI_MANIFEST, "artifactType",
                  wish->type ? wish->type : ARTIFACT_TYPE_UNKNOWN, "config", config, "layers");
    if (!doc)
        return err_new(ERR_INVALID, "the type is not UTF-8");
    if (wish->subject)
        json_object_set_new(doc, "subject",
                            json_pack("{s:s, s:s, s:I}", "mediaType", wish->subject->media_type, "digest",
                                      wish->subject->digest, "size", (json_int_t)wish->subject->size));
    for (size_t i = 0; i < n; i++)
        TRY(add_file(l, &files[i], wish->no_titles, json_object_get(doc, "layers")));
    TRY(add_annotations(wish->annotations, doc));
    return write_manifest(l, doc, ret_digest, ret_size);
}

static bool has_title(const struct artifact *a, const char *title)
{
    for (size_t i = 0; i < a->manifest->layers_n; i++)
        if (str_eq(strmap_get(&a->manifest->layers[i].annotations, ARTIFACT_TITLE), title))
            return true;
    return false;
}

static fallible append(struct layout *l, const struct ref *ref, const struct artifact_wish *wish,
                       const struct artifact_file *files, size_t n, char **ret_digest, int64_t *ret_size)
{
    own(artifact) struct artifact *old = NULL;
    own_json json_t *doc = NULL;
    TRY(artifact_find(l, ref, &old));
    TRY(json_parse("artifact", old->text, strlen(old->text), &doc));
    if (old->manifest->layers_n + n > BLOBS_MAX)
        return err_new(ERR_EXHAUSTED, "it would have more than %d files", BLOBS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (has_title(old, files[i].title))
            return err_new(ERR_EXISTS, "the artifact has a file '%s' already", files[i].title);
        TRY(add_file(l, &files[i], wish->no_titles, json_object_get(doc, "layers")));
    }
    TRY(add_annotations(wish->annotations, doc));
    return write_manifest(l, doc, ret_digest, ret_size);
}

fallible artifact_add(struct layout *l, const struct ref *ref, enum artifact_how how, const struct artifact_wish *wish,
                      const struct artifact_file *files, size_t n, char **ret_digest)
{
    own_mem char *digest = NULL;
    int64_t size = 0;
    if (how == ARTIFACT_APPEND) {
        TRY(append(l, ref, wish, files, n, &digest, &size));
    } else {
        TRY(check_free(l, ref, how));
        TRY(artifact_make(l, wish, files, n, &digest, &size));
    }
    TRY(set_name(l, ref, MEDIA_OCI_MANIFEST, digest, (size_t)size));
    *ret_digest = take(digest);
    return NULL;
}

/* ---- what there is ---- */

/* *ret NULL: it is none. */
static fallible read_one(struct layout *l, const struct oci_descriptor *d, struct artifact **ret)
{
    own(artifact) struct artifact *a = mem_zalloc(sizeof *a);
    size_t len = 0;
    *ret = NULL;
    if (!media_is_manifest(d->media_type))
        return NULL;
    TRY(layout_read_blob(l, d->digest, &a->text, &len));
    TRY(oci_manifest_read(a->text, len, &a->manifest));
    if (oci_manifest_is_image(a->manifest))
        return NULL;
    a->name = mem_strdup(strmap_get(&d->annotations, NAME_KEY));
    a->digest = mem_strdup(d->digest);
    for (size_t i = 0; i < a->manifest->layers_n; i++)
        if (__builtin_add_overflow(a->size, a->manifest->layers[i].size, &a->size))
            return err_new(ERR_CORRUPT, "the blobs' sizes add up to more than there is");
    *ret = take(a);
    return NULL;
}

fallible artifact_find(struct layout *l, const struct ref *ref, struct artifact **ret)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *name = ref_full(ref);
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        if (!str_eq(strmap_get(&index->manifests[i].annotations, NAME_KEY), name))
            continue;
        TRY_AS(read_one(l, &index->manifests[i], ret), "artifact '%s'", name);
        if (!*ret)
            return err_new(ERR_UNSUPPORTED, "'%s' is a container image, no artifact", name);
        return NULL;
    }
    return err_new(ERR_NOT_FOUND, "artifact '%s': no such artifact", name);
}

fallible artifact_list(struct layout *l, struct artifact ***ret, size_t *ret_n)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    struct artifact **list = mem_zalloc((index->manifests_n + 1) * sizeof *list);
    *ret_n = 0;
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        if (!strmap_get(&d->annotations, NAME_KEY))
            continue;
        err_ignore(read_one(l, d, &list[*ret_n]), "'husk verify' finds what is broken");
        *ret_n += list[*ret_n] != NULL;
    }
    *ret = list;
    return NULL;
}

/* ---- taking out ---- */

static const char *title_of(const struct oci_descriptor *d)
{
    return strmap_get(&d->annotations, ARTIFACT_TITLE);
}

static bool wanted(const struct oci_descriptor *d, const char *title, const char *digest)
{
    return (!title || str_eq(title_of(d), title)) && (!digest || strcmp(d->digest, digest) == 0);
}

static err *write_piece(void *ctx, const void *bytes, size_t n)
{
    return fs_write_fd(*(const int *)ctx, bytes, n, "file");
}

static fallible copy_blob(struct layout *l, const struct oci_descriptor *d, int fd)
{
    own_fd int blob = -1;
    TRY(layout_open_blob(l, d->digest, d->size, &blob));
    return each_piece(blob, d->digest, write_piece, &fd);
}

fallible artifact_extract_one(struct layout *l, const struct artifact *a, const char *title, const char *digest, int fd)
{
    const struct oci_descriptor *only = NULL;
    for (size_t i = 0; i < a->manifest->layers_n; i++) {
        if (!wanted(&a->manifest->layers[i], title, digest))
            continue;
        if (only)
            return err_new(ERR_CONFLICT,
                           "it has several files: name a directory, or one of them by --title or --digest");
        only = &a->manifest->layers[i];
    }
    return only ? copy_blob(l, only, fd) : err_new(ERR_NOT_FOUND, "it has no such file");
}

/* Who made the artifact chose the title: it may name a file in the directory and nothing else. */
static fallible check_title(const char *title)
{
    if (!*title || strcmp(title, ".") == 0 || strcmp(title, "..") == 0 || strchr(title, '/') || strlen(title) > 255)
        return err_new(ERR_INVALID, "the title '%.100s' is no plain file name", title);
    for (const char *p = title; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return err_new(ERR_INVALID, "a title has a control character");
    return NULL;
}

fallible artifact_extract(struct layout *l, const struct artifact *a, const char *title, const char *digest, int dir_fd,
                          size_t *ret_files)
{
    *ret_files = 0;
    for (size_t i = 0; i < a->manifest->layers_n; i++) {
        const struct oci_descriptor *d = &a->manifest->layers[i];
        if (!wanted(d, title, digest))
            continue;
        own_mem char *plain = title_of(d) ? mem_strdup(title_of(d)) : mem_printf("sha256-%s", digest_hex(d->digest));
        TRY(check_title(plain));
        own_fd int fd = openat(dir_fd, plain, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
            return err_sys(errno, "write '%s'", plain);
        TRY_AS(copy_blob(l, d, fd), "file '%s'", plain);
        ++*ret_files;
    }
    return *ret_files ? NULL : err_new(ERR_NOT_FOUND, "it has no such file");
}
