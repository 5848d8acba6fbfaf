// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/import.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/digest.h"
#include "image/blob.h"
#include "layers/unpack.h"
#include "os/fs.h"

/* Twice as fast as the default level, and still a third of the size. */
enum { PACK_LEVEL = 1 };

/* What is read to be unpacked is kept on the way. */
struct tee {
    int in_fd, out_fd;
    unsigned char begin[STREAM_MAGIC_SIZE]; /* what was read to see what it is */
    size_t begin_n, begin_at;
    struct stream *inner; /* xz and bzip2: an image's layer cannot be those, so it is packed again */
    struct packer *packer;
    struct digest *digest;
    int64_t size;
};

static fallible keep(void *ctx, const void *bytes, size_t n)
{
    struct tee *t = ctx;
    TRY(fs_write_fd(t->out_fd, bytes, n, "the layer's blob"));
    digest_add(t->digest, bytes, n);
    t->size += (int64_t)n;
    return NULL;
}

static fallible read_input(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct tee *t = ctx;
    if (t->begin_at < t->begin_n) {
        size_t n = t->begin_n - t->begin_at < max ? t->begin_n - t->begin_at : max;
        memcpy(buf, t->begin + t->begin_at, n);
        t->begin_at += n;
        *ret_n = n;
        return NULL;
    }
    ssize_t n;
    do {
        n = read(t->in_fd, buf, max);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(errno, "read the tar");
    *ret_n = (size_t)n;
    return NULL;
}

static fallible read_and_keep(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct tee *t = ctx;
    TRY(t->inner ? stream_read(t->inner, buf, max, ret_n) : read_input(t, buf, max, ret_n));
    return t->packer ? packer_add(t->packer, buf, *ret_n) : keep(t, buf, *ret_n);
}

static fallible begin_tee(struct tee *t, const char **ret_media_type)
{
    while (t->begin_n < sizeof t->begin) {
        ssize_t n = read(t->in_fd, t->begin + t->begin_n, sizeof t->begin - t->begin_n);
        if (n < 0 && errno != EINTR)
            return err_sys(errno, "read the tar");
        if (n == 0)
            break;
        t->begin_n += n > 0 ? (size_t)n : 0;
    }
    if (t->begin_n == 0)
        return err_new(ERR_INVALID, "the tar is empty");
    enum stream_form form = stream_form_of(t->begin, t->begin_n);
    *ret_media_type = form == STREAM_GZIP ? MEDIA_OCI_LAYER_GZIP : MEDIA_OCI_LAYER_ZSTD;
    if (form == STREAM_XZ || form == STREAM_BZIP2)
        TRY(stream_open((struct stream_source){ read_input, t }, 0, &t->inner));
    return form == STREAM_GZIP || form == STREAM_ZSTD ? NULL : packer_new(STREAM_ZSTD, PACK_LEVEL, keep, t, &t->packer);
}

static fallible end_tee(struct tee *t)
{
    if (t->packer)
        TRY(packer_end(t->packer));
    if (fdatasync(t->out_fd) < 0)
        return err_sys(errno, "write the layer's blob to disk");
    return NULL;
}

static fallible place_blob(struct layout *l, const char *staged, const char *digest)
{
    own_mem char *path = layout_blob_path(digest);
    bool was_there = layout_has_blob(l, digest, -1);
    if (renameat(l->fd, staged, l->fd, path) < 0)
        return err_sys(errno, "put blob %s in place", digest);
    if (!was_there)
        layout_note_added(l, path);
    return NULL;
}

static fallible unpack_and_keep(struct layout *l, struct tee *t, const char *staged, struct oci_descriptor *layer,
                                char **ret_diff_id)
{
    const char *media_type = NULL;
    TRY(begin_tee(t, &media_type));
    struct unpack u = { .source = { read_and_keep, t } };
    TRY(layer_unpack(l, &u, ret_diff_id));
    TRY(end_tee(t));
    layer->media_type = mem_strdup(media_type);
    layer->digest = digest_end(t->digest);
    layer->size = t->size;
    if (fchmod(t->out_fd, 0644) < 0)
        return err_sys(errno, "set the mode of the layer's blob");
    return place_blob(l, staged, layer->digest);
}

static fallible import_layer(struct layout *l, int fd, struct oci_descriptor *layer, char **ret_diff_id)
{
    own(digest) struct digest *digest = NULL;
    own_mem char *name = layout_stage_name("import");
    own_mem char *staged = mem_printf("tmp/%s", name);
    own_fd int out_fd = -1;
    TRY(digest_new(NULL, &digest));
    TRY(layout_stage(l, name, LAYOUT_STAGE_FILE, &out_fd));
    struct tee t = { .in_fd = fd, .out_fd = out_fd, .digest = digest };
    err *e = unpack_and_keep(l, &t, staged, layer, ret_diff_id);
    packer_free(t.packer);
    stream_free(t.inner);
    if (e)
        err_ignore(fs_remove_tree_at(l->fd, staged), "a sweep will remove it");
    return e;
}

/* ---- config and manifest ---- */

static void set_platform(struct oci_image_config *c, const char *platform)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, platform ? platform : platform_of_host(), '/');
    c->os = mem_strdup(words.n > 0 ? words.items[0] : NULL);
    c->architecture = mem_strdup(words.n > 1 ? words.items[1] : NULL);
    c->variant = mem_strdup(words.n > 2 ? words.items[2] : NULL);
}

static char *config_text(const struct import *i, const char *diff_id)
{
    char created[40];
    own(oci_image_config) struct oci_image_config *c = mem_zalloc(sizeof *c);
    struct oci_image_run none = { 0 };
    format_time_ns(i->created_ns, created);
    c->created = mem_strdup(created);
    set_platform(c, i->platform);
    c->rootfs = mem_zalloc(sizeof *c->rootfs);
    c->rootfs->type = mem_strdup("layers");
    strv_add(&c->rootfs->diff_ids, diff_id);
    c->history = mem_zalloc(sizeof *c->history);
    c->history_n = 1;
    c->history->created = mem_strdup(created);
    c->history->created_by = mem_strdup(i->created_by);
    c->history->comment = mem_strdup(i->comment);
    c->config = i->run ? (struct oci_image_run *)i->run : &none;
    char *text = bind_write(&oci_image_config_type, c, BIND_COMPACT);
    c->config = NULL; /* the caller's */
    return text;
}

static char *manifest_text(const char *config_digest, size_t config_size, const struct oci_descriptor *layer)
{
    struct oci_descriptor config = { .media_type = (char *)MEDIA_OCI_CONFIG,
                                     .digest = (char *)config_digest,
                                     .size = (int64_t)config_size };
    struct oci_descriptor copy = *layer;
    struct oci_manifest m = {
        .schema_version = 2, .media_type = (char *)MEDIA_OCI_MANIFEST, .config = &config, .layers = &copy, .layers_n = 1
    };
    return bind_write(&oci_manifest_type, &m, BIND_COMPACT);
}

void import_target_free(struct oci_descriptor *d)
{
    bind_free(&oci_descriptor_type, d);
}

fallible import_describe(struct layout *l, const struct import *i, const struct oci_descriptor *layer,
                         const char *diff_id, struct oci_descriptor **ret_target, char **ret_id)
{
    own(import_target) struct oci_descriptor *target = mem_zalloc(sizeof *target);
    own_mem char *id = NULL;
    own_mem char *config = config_text(i, diff_id);
    TRY(blob_put(l, config, strlen(config), &id));
    own_mem char *manifest = manifest_text(id, strlen(config), layer);
    TRY(blob_put(l, manifest, strlen(manifest), &target->digest));
    target->media_type = mem_strdup(MEDIA_OCI_MANIFEST);
    target->size = (int64_t)strlen(manifest);
    *ret_target = take(target);
    *ret_id = take(id);
    return NULL;
}

fallible import_image(struct layout *l, const struct import *i, struct oci_descriptor **ret_target, char **ret_id)
{
    own(import_target) struct oci_descriptor *layer = mem_zalloc(sizeof *layer);
    own_mem char *diff_id = NULL;
    TRY(import_layer(l, i->fd, layer, &diff_id));
    return import_describe(l, i, layer, diff_id, ret_target, ret_id);
}
