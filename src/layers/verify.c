// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/digest.h"
#include "image/blob.h"
#include "layers/diff.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "layers/unpack.h"
#include "os/fs.h"

enum { CHUNK = 1 << 20, DEPTH_MAX = 8, PIECE = 1 << 18, TREE_FILE_MAX = 256 };

struct verify {
    struct layout *l;
    const struct verify_options *o;
    struct verify_result result;
    struct strv seen; /* digests that were looked at */
    const char *name; /* of the image at hand; NULL: none */
    struct registry *registry;
    const char *registry_of; /* the name that it was opened for */
};

static void tell(struct verify *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct verify *v, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    own_mem char *line = mem_vprintf(format, ap);
    va_end(ap);
    if (v->o->tell)
        v->o->tell(v->o->ctx, line);
}

static bool first_time(struct verify *v, const char *digest)
{
    if (strv_has(&v->seen, digest))
        return false;
    strv_add(&v->seen, digest);
    return true;
}

/* A finding, and what became of it. repair: NULL: there is no way. */
static void found(struct verify *v, const char *what, err *take_repair, bool tried)
{
    v->result.bad++;
    if (!tried)
        tell(v, "%s", what);
    else if (!take_repair)
        tell(v, "%s: repaired", what);
    else
        tell(v, "%s: not repaired: %s", what, err_text(take_repair));
    v->result.repaired += tried && !take_repair;
    err_free(take_repair);
}

/* ---- blobs ---- */

static fallible hash_fd(struct verify *v, int fd, const char *like, char **ret)
{
    own(digest) struct digest *d = NULL;
    own_mem unsigned char *buf = mem_alloc(CHUNK);
    TRY(digest_new(like, &d));
    for (;;) {
        ssize_t n = read(fd, buf, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read it");
        if (n == 0)
            break;
        digest_add(d, buf, (size_t)n);
        v->result.bytes += (uint64_t)n;
    }
    *ret = digest_end(d);
    return NULL;
}

/* NULL when it is good; else what is wrong with it. NOT_FOUND: it is not there. */
static fallible look_at_blob(struct verify *v, const char *digest, int64_t size)
{
    own_fd int fd = -1;
    own_mem char *is = NULL;
    TRY(layout_open_blob(v->l, digest, size, &fd));
    if (v->o->quick)
        return NULL;
    TRY(hash_fd(v, fd, digest, &is));
    return str_eq(is, digest) ? NULL : err_new(ERR_CORRUPT, "its digest is %s", is);
}

static fallible registry_for(struct verify *v, struct registry **ret)
{
    if (!v->name || !v->o->open_registry)
        return err_new(ERR_NOT_FOUND, "the image has no name that says where it is from: load or pull it again");
    if (!v->registry) {
        TRY(v->o->open_registry(v->o->ctx, v->name, &v->registry));
        v->registry_of = v->name;
    }
    *ret = v->registry;
    return NULL;
}

static fallible fetch_manifest(struct verify *v, struct registry *r, const char *digest)
{
    own(registry_manifest) struct registry_manifest *m = NULL;
    own_mem char *put = NULL;
    TRY(registry_get_manifest(r, digest, &m));
    return blob_put(v->l, m->text, m->len, &put);
}

static fallible fetch_blob(struct verify *v, struct registry *r, const char *digest, int64_t size)
{
    own(blob) struct blob *b = NULL;
    TRY(blob_begin(v->l, digest, size, &b));
    if (!b)
        return NULL;
    err *e = registry_get_blob(r, digest, b, NULL, NULL);
    return e ? e : blob_end(b);
}

/* The bad one steps aside, and comes back when there is no better one: half of a blob may still be of use to its owner.
 */
static fallible fetch_again(struct verify *v, const struct oci_descriptor *d)
{
    struct registry *r = NULL;
    own_mem char *path = layout_blob_path(d->digest), *name = layout_stage_name("bad");
    own_mem char *aside = mem_printf("tmp/%s", name);
    own_fd int fd = -1;
    TRY(registry_for(v, &r));
    TRY(layout_stage(v->l, name, LAYOUT_STAGE_FILE, &fd));
    bool moved = renameat(v->l->fd, path, v->l->fd, aside) == 0;
    err *e = media_is_index(d->media_type) || media_is_manifest(d->media_type) ? fetch_manifest(v, r, d->digest)
                                                                               : fetch_blob(v, r, d->digest, d->size);
    if (e && moved)
        (void)renameat(v->l->fd, aside, v->l->fd, path);
    else
        (void)unlinkat(v->l->fd, aside, 0);
    return e;
}

/* *ret_good: it is there and good now. needed: it is a finding when it is not there at all. */
static void verify_blob(struct verify *v, const struct oci_descriptor *d, bool needed, bool *ret_good)
{
    own(err) err *wrong = look_at_blob(v, d->digest, d->size);
    *ret_good = !wrong;
    if (!wrong || (err_is(wrong, ERR_NOT_FOUND) && !needed)) {
        v->result.blobs += first_time(v, d->digest) && !wrong;
        return;
    }
    if (!first_time(v, d->digest))
        return;
    v->result.blobs++;
    own_mem char *what =
        mem_printf("blob %s: %s", d->digest, err_is(wrong, ERR_NOT_FOUND) ? "it is not there" : err_text(wrong));
    err *e = v->o->repair ? fetch_again(v, d) : NULL;
    *ret_good = v->o->repair && !e;
    found(v, what, e, v->o->repair);
}

/* ---- layers ---- */

static fallible hash_piece(void *ctx, const void *bytes, size_t n)
{
    digest_add(ctx, bytes, n);
    return NULL;
}

static fallible tree_of(struct verify *v, int layer_fd, char **ret)
{
    own(digest) struct digest *d = NULL;
    own_fd int fs = openat(layer_fd, "fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fs < 0)
        return err_sys(errno, "open the layer's directory");
    TRY(digest_new(NULL, &d));
    TRY(diff_tar(&(struct diff){ .upper_fd = fs, .whole = true, .no_made_times = true }, hash_piece, d));
    *ret = digest_end(d);
    return NULL;
}

/* The digest of its files as they should be, when that is known already. */
static char *known_tree(int layer_fd)
{
    char *text = NULL;
    err *e = fs_read_at(layer_fd, "tree", TREE_FILE_MAX, &text, NULL);
    err_ignore(e, "not compared yet");
    if (text)
        text[strcspn(text, "\n")] = '\0';
    return text;
}

/* To be verified is not to be used: the folder's time stays. */
static fallible keep_tree(int layer_fd, const char *tree)
{
    struct stat st;
    own_mem char *line = mem_printf("%s\n", tree);
    if (fstat(layer_fd, &st) < 0)
        return err_sys(errno, "look at the layer");
    TRY(fs_replace_at(layer_fd, "tree", line, strlen(line), 0644, FS_SYNC_DISK));
    struct timespec times[2] = { st.st_atim, st.st_mtim };
    return futimens(layer_fd, times) < 0 ? err_sys(errno, "set the layer's time") : NULL;
}

/* The new files take the place of the old in one step; a container that runs on the old ones would lose them, so they
 * are only removed when no sweep keeps them: they stay in staging until then. */
static fallible exchange(struct verify *v, const char *staged, const char *diff_id)
{
    own_mem char *path = mem_printf("layers/%s", strchr(diff_id, ':') + 1);
    if (renameat2(v->l->fd, staged, v->l->fd, path, RENAME_EXCHANGE) < 0)
        return err_sys(errno, "put it in place");
    return NULL;
}

struct comparison {
    char *staged; /* NULL: nothing was unpacked */
    int fd;
    char *want, *is;
};

/* In EROFS's form the tar itself is there: its digest is the layer's name, and the index is made from nothing else. */
static fallible compare_erofs(struct verify *v, const char *blob, const char *diff_id, int layer_fd,
                              struct comparison *c)
{
    struct layer_tar tar;
    own(err) err *none = layer_tar_open(layer_fd, &tar);
    own_fd int tar_fd = tar.fd; /* -1: none */
    own(digest) struct digest *d = NULL;
    own_mem unsigned char *buf = mem_alloc(PIECE);
    bool fits = false;
    uint64_t done = 0;
    if (tar_fd < 0 && !err_is(none, ERR_CORRUPT))
        return take(none);
    TRY(digest_new(diff_id, &d));
    for (size_t n = !none; n > 0;) {
        TRY(layer_tar_read(&tar, &done, buf, PIECE, &n));
        digest_add(d, buf, n);
    }
    c->want = mem_strdup(diff_id);
    c->is = digest_end(d);
    if (str_eq(c->want, c->is)) {
        err_ignore(layer_index_fits(layer_fd, diff_id, &fits), "then it does not fit");
        if (fits)
            return NULL;
        free(c->is);
        c->is = mem_strdup("an index of something else");
    }
    return v->o->repair && blob ? layer_unpack_aside(v->l, blob, diff_id, UNPACK_AS_SET, &c->staged, &c->fd) : NULL;
}

static fallible compare(struct verify *v, const char *blob, const char *diff_id, int layer_fd, struct comparison *c)
{
    if (layer_is_erofs(layer_fd))
        return compare_erofs(v, blob, diff_id, layer_fd, c);
    c->want = known_tree(layer_fd);
    TRY(tree_of(v, layer_fd, &c->is));
    if (c->want && str_eq(c->want, c->is))
        return NULL;
    if (!blob)
        return NULL;
    /* Not known, or different: the blob has the last word. */
    TRY(layer_unpack_aside(v->l, blob, diff_id, UNPACK_FILES, &c->staged, &c->fd));
    free(take(c->want));
    return tree_of(v, c->fd, &c->want);
}

static fallible judge(struct verify *v, const char *diff_id, int layer_fd, struct comparison *c)
{
    if (!c->want) {
        v->result.unknown++;
        return NULL;
    }
    if (str_eq(c->want, c->is))
        return c->staged ? keep_tree(layer_fd, c->want) : NULL;
    own_mem char *what = mem_printf("layer %s: its files are not those that were unpacked", diff_id);
    err *e = NULL;
    if (v->o->repair) {
        e = c->staged ? keep_tree(c->fd, c->want)
                      : err_new(ERR_NOT_FOUND, "its packed bytes were not kept: pull the image again");
        if (!e)
            e = exchange(v, c->staged, diff_id);
    }
    found(v, what, e, v->o->repair);
    return NULL;
}

static fallible compare_layer(struct verify *v, const char *blob, const char *diff_id)
{
    own_mem char *path = mem_printf("layers/%s", strchr(diff_id, ':') + 1);
    own_fd int fd = openat(v->l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct comparison c = { .fd = -1 };
    if (fd < 0)
        return err_sys(errno, "open it");
    err *e = compare(v, blob, diff_id, fd, &c);
    if (!e)
        e = judge(v, diff_id, fd, &c);
    if (c.staged)
        err_ignore(fs_remove_tree_at(v->l->fd, c.staged), "a sweep will remove it");
    close_now(&c.fd);
    free(c.staged);
    free(c.want);
    free(c.is);
    return e;
}

/* blob: NULL when there is none that is good. */
static fallible verify_layer(struct verify *v, const char *blob, const char *diff_id)
{
    if (!first_time(v, diff_id) && !str_eq(blob, diff_id)) /* a plain tar's blob has the same digest */
        return NULL;
    v->result.layers++;
    if (layer_exists(v->l, diff_id)) {
        if (!v->o->quick)
            TRY_AS(compare_layer(v, blob, diff_id), "layer %s", diff_id);
        return NULL;
    }
    own_mem char *what = mem_printf("layer %s: it is not there", diff_id);
    err *e = NULL;
    if (v->o->repair)
        e = blob ? layer_unpack_blob(v->l, blob, diff_id, NULL, NULL)
                 : err_new(ERR_NOT_FOUND, "nor are its packed bytes");
    found(v, what, e, v->o->repair);
    return NULL;
}

/* ---- images ---- */

static fallible verify_layers(struct verify *v, const struct oci_manifest *m, const struct oci_image_config *c)
{
    for (size_t i = 0; i < m->layers_n; i++) {
        bool good = false;
        bool image = c && c->rootfs && c->rootfs->diff_ids.n == m->layers_n;
        const char *diff_id = image ? c->rootfs->diff_ids.items[i] : NULL;
        verify_blob(v, &m->layers[i], !diff_id || !layer_exists(v->l, diff_id), &good);
        if (diff_id)
            TRY(verify_layer(v, good ? m->layers[i].digest : NULL, diff_id));
    }
    return NULL;
}

static fallible verify_manifest(struct verify *v, const struct oci_descriptor *d)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own(oci_image_config) struct oci_image_config *c = NULL;
    own_mem char *text = NULL, *config = NULL;
    size_t len = 0;
    bool good = false;
    verify_blob(v, d, true, &good);
    if (!good)
        return NULL;
    TRY(layout_read_blob(v->l, d->digest, &text, &len));
    TRY_AS(oci_manifest_read(text, len, &m), "manifest %s", d->digest);
    verify_blob(v, m->config, true, &good);
    if (!good)
        return NULL;
    TRY(layout_read_blob(v->l, m->config->digest, &config, &len));
    err_ignore(oci_image_config_read(config, len, &c), "an artifact's config need not be an image's");
    return verify_layers(v, m, c);
}

static fallible verify_any(struct verify *v, const struct oci_descriptor *d, int depth)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    bool good = false;
    if (!media_is_index(d->media_type))
        return verify_manifest(v, d);
    verify_blob(v, d, true, &good);
    if (!good)
        return NULL;
    TRY(layout_read_blob(v->l, d->digest, &text, &len));
    TRY_AS(oci_index_read(text, len, &index), "index %s", d->digest);
    for (size_t i = 0; i < index->manifests_n && depth < DEPTH_MAX; i++)
        if (layout_has_blob(v->l, index->manifests[i].digest, -1)) /* other platforms were never pulled */
            TRY(verify_any(v, &index->manifests[i], depth + 1));
    return NULL;
}

static bool is_asked(const struct strv *names, const struct oci_descriptor *d, const char *name)
{
    return !names || strv_has(names, d->digest) || (name && strv_has(names, name));
}

static fallible verify_all(struct verify *v, const struct strv *names)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(v->l, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        v->name = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
        if (!is_asked(names, d, v->name))
            continue;
        err *e = verify_any(v, d, 0);
        registry_free(take(v->registry));
        TRY_AS(e, "image '%s'", v->name ? v->name : d->digest);
    }
    return NULL;
}

fallible verify_images(struct layout *l, const struct strv *names, const struct verify_options *o,
                       struct verify_result *ret)
{
    struct verify v = { .l = l, .o = o };
    err *e = verify_all(&v, names);
    strv_free(&v.seen);
    if (!e)
        *ret = v.result;
    return e;
}
