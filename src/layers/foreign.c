// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/digest.h"
#include "image/auth.h"
#include "image/blob.h"
#include "image/ref.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "layers/restore.h"
#include "layers/tarsplit.h"
#include "os/fs.h"
#include "os/root.h"

enum {
    DOCUMENT_MAX = 64 << 20,
    CONFIG_MAX = 4 << 20,
    WORD_MAX = 4096,
    IMAGES_MAX = 100000,
    LAYERS_MAX = 500,
    CHUNK = 256 << 10
};

void foreign_free(struct foreign *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++) {
        free(f->images[i].id);
        free(f->images[i].top);
        strv_free(&f->images[i].names);
    }
    free(f->images);
    json_decref(f->layers);
    close_now(&f->root_fd);
    free(f);
}

/* ---- files of the other store ---- */

/* 64 hex digits: the only names that are made part of a path. */
static bool is_hex(const char *text)
{
    return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static fallible open_file(const struct foreign *f, const char *path, int *ret_fd)
{
    struct stat st;
    own_fd int fd = -1;
    TRY(root_open(f->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, &fd));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_new(ERR_CORRUPT, "'%s' is no file", path);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible read_file(const struct foreign *f, const char *path, size_t max, char **ret_text, size_t *ret_len)
{
    own_fd int fd = -1;
    TRY(open_file(f, path, &fd));
    TRY_AS(fs_read_fd(fd, path, max, ret_text, ret_len), "'%s'", path);
    return NULL;
}

static fallible read_json(const struct foreign *f, const char *path, json_t **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(read_file(f, path, DOCUMENT_MAX, &text, &len));
    TRY_AS(json_parse(path, text, len, ret), "'%s'", path);
    return NULL;
}

/* ---- its images ---- */

static struct foreign_image *add_image(struct foreign *f, const char *id)
{
    f->images = mem_array(f->images, f->n + 1, sizeof *f->images);
    f->images[f->n] = (struct foreign_image){ .id = mem_strdup(id) };
    return &f->images[f->n++];
}

/* A store of another driver has other folders: said by its name. */
static fallible check_podman(const struct foreign *f)
{
    static const char *const others[] = { "vfs", "btrfs", "zfs", "aufs", "devmapper" };
    if (faccessat(f->root_fd, "overlay-images", F_OK, 0) == 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        own_mem char *folder = mem_printf("%s-images", others[i]);
        if (faccessat(f->root_fd, folder, F_OK, 0) == 0)
            return err_new(ERR_UNSUPPORTED,
                           "it is of the driver '%s', and husk reads overlay's: 'podman save IMAGE | husk load' brings "
                           "one image",
                           others[i]);
    }
    return err_new(ERR_NOT_FOUND, "there is no store of podman's: it has no folder 'overlay-images'");
}

static fallible check_docker(const struct foreign *f)
{
    if (faccessat(f->root_fd, "image/overlay2", F_OK, 0) == 0)
        return NULL;
    if (faccessat(f->root_fd, "image", F_OK, 0) < 0 && faccessat(f->root_fd, "containerd", F_OK, 0) < 0)
        return err_new(ERR_NOT_FOUND, "there is no store of docker's: it has no folder 'image'");
    return err_new(ERR_UNSUPPORTED,
                   "its images are not of the driver 'overlay2', the only one that husk reads: 'docker "
                   "save IMAGE | husk load' brings one image");
}

/* The image's ID is its config's digest; what has another ID (a list of several platforms) is no image. */
static fallible read_podman(struct foreign *f)
{
    own_json json_t *images = NULL;
    size_t i, j;
    json_t *image, *name;
    TRY(check_podman(f));
    TRY(read_json(f, "overlay-images/images.json", &images));
    TRY(read_json(f, "overlay-layers/layers.json", &f->layers));
    json_array_foreach (images, i, image) {
        const char *id = json_string_value(json_object_get(image, "id"));
        const char *top = json_string_value(json_object_get(image, "layer"));
        if (!is_hex(id) || !is_hex(top) || f->n >= IMAGES_MAX)
            continue;
        struct foreign_image *made = add_image(f, id);
        made->top = mem_strdup(top);
        json_array_foreach (json_object_get(image, "names"), j, name)
            if (json_is_string(name))
                strv_add(&made->names, json_string_value(name));
    }
    return NULL;
}

static struct foreign_image *image_of(struct foreign *f, const char *id)
{
    for (size_t i = 0; i < f->n; i++)
        if (str_eq(f->images[i].id, id))
            return &f->images[i];
    return add_image(f, id);
}

static fallible list_configs(struct foreign *f)
{
    own_fd int fd = -1;
    TRY(root_open(f->root_fd, "image/overlay2/imagedb/content/sha256", O_RDONLY | O_DIRECTORY, &fd));
    own_dir DIR *dir = fdopendir(fd);
    if (!dir)
        return err_sys(errno, "list its images");
    (void)take_fd(&fd);
    for (struct dirent *entry; (entry = readdir(dir)) && f->n < IMAGES_MAX;)
        if (is_hex(entry->d_name))
            (void)add_image(f, entry->d_name);
    return NULL;
}

static fallible read_docker(struct foreign *f)
{
    own_json json_t *doc = NULL;
    const char *repository, *name;
    json_t *names, *id;
    TRY(check_docker(f));
    TRY(list_configs(f));
    TRY(read_json(f, "image/overlay2/repositories.json", &doc));
    json_object_foreach (json_object_get(doc, "Repositories"), repository, names)
        json_object_foreach (names, name, id) {
            const char *digest = json_string_value(id);
            if (digest && digest_valid(digest) && is_hex(digest_hex(digest)) && !strchr(name, '@'))
                strv_add(&image_of(f, digest_hex(digest))->names, name);
        }
    return NULL;
}

fallible foreign_open(enum foreign_engine engine, int take_root_fd, struct foreign **ret)
{
    own(foreign) struct foreign *f = mem_zalloc(sizeof *f);
    f->engine = engine;
    f->root_fd = take_root_fd;
    TRY(engine == FOREIGN_PODMAN ? read_podman(f) : read_docker(f));
    *ret = take(f);
    return NULL;
}

static bool is_called(const struct foreign_image *image, const char *full)
{
    for (size_t i = 0; full && i < image->names.n; i++) {
        own(ref) struct ref *ref = NULL;
        err_ignore(ref_parse(image->names.items[i], &ref), "a name that is none of ours");
        own_mem char *name = ref ? ref_full(ref) : NULL;
        if (str_eq(name, full))
            return true;
    }
    return false;
}

/* podman calls what was built here localhost/NAME. */
fallible foreign_find(const struct foreign *f, const char *what, const struct foreign_image **ret)
{
    own(ref) struct ref *ref = NULL;
    const char *digits = str_starts(what, "sha256:") ? what + strlen("sha256:") : what;
    const struct foreign_image *found = NULL;
    err_ignore(ref_parse(what, &ref), "it may be an ID");
    own_mem char *full = ref ? ref_full(ref) : NULL;
    own_mem char *local = ref && ref->is_short ? mem_printf("localhost/%s", what) : NULL;
    own(ref) struct ref *local_ref = NULL;
    err_ignore(local ? ref_parse(local, &local_ref) : NULL, "then there is no such name");
    own_mem char *local_full = local_ref ? ref_full(local_ref) : NULL;
    for (size_t i = 0; i < f->n; i++)
        if (is_called(&f->images[i], full) || is_called(&f->images[i], local_full)) {
            *ret = &f->images[i];
            return NULL;
        }
    for (size_t i = 0; strlen(digits) >= 2 && i < f->n; i++) {
        if (!str_starts(f->images[i].id, digits))
            continue;
        if (found)
            return err_new(ERR_CONFLICT, "several images' IDs begin with '%.100s'", digits);
        found = &f->images[i];
    }
    *ret = found;
    return found ? NULL : err_new(ERR_NOT_FOUND, "no image '%.200s' there", what);
}

/* ---- one image ---- */

struct foreign_layer {
    char *record, *files; /* paths below the root */
};
struct taking {
    const struct foreign *f;
    const struct foreign_image *image;
    struct layout *l;
    bool keep_packed;
    struct untar_origin *origin;
    char *config_text;
    size_t config_len;
    struct oci_image_config *config;
    struct foreign_layer *layers; /* as many as diffIDs, lowest first */
    struct oci_descriptor *descriptors;
};
static void taking_clear(struct taking *t)
{
    size_t n = t->config && t->config->rootfs ? t->config->rootfs->diff_ids.n : 0;
    for (size_t i = 0; t->layers && i < n; i++) {
        free(t->layers[i].record);
        free(t->layers[i].files);
        free(t->descriptors[i].digest);
        free(t->descriptors[i].media_type);
    }
    free(t->layers);
    free(t->descriptors);
    free(t->config_text);
    oci_image_config_free(t->config);
}

static fallible read_config(struct taking *t)
{
    own_mem char *key = mem_printf("sha256:%s", t->image->id);
    own_mem char *base64 = base64_encode(key, strlen(key));
    own_mem char *path = t->f->engine == FOREIGN_PODMAN
                             ? mem_printf("overlay-images/%s/=%s", t->image->id, base64)
                             : mem_printf("image/overlay2/imagedb/content/sha256/%s", t->image->id);
    TRY_AS(read_file(t->f, path, CONFIG_MAX, &t->config_text, &t->config_len), "its config");
    own_mem char *is = digest_of(t->config_text, t->config_len);
    if (!str_eq(is, key))
        return err_new(ERR_CORRUPT, "its config has the digest %s", is);
    TRY_AS(oci_image_config_read(t->config_text, t->config_len, &t->config), "its config");
    size_t n = t->config->rootfs->diff_ids.n;
    if (n > LAYERS_MAX)
        return err_new(ERR_EXHAUSTED, "it has %zu layers: more than %d cannot be mounted", n, LAYERS_MAX);
    t->layers = mem_zalloc((n + 1) * sizeof *t->layers);
    t->descriptors = mem_zalloc((n + 1) * sizeof *t->descriptors);
    return NULL;
}

static const json_t *podman_layer(const struct foreign *f, const char *id)
{
    size_t i;
    json_t *layer;
    json_array_foreach (f->layers, i, layer)
        if (str_eq(json_string_value(json_object_get(layer, "id")), id))
            return layer;
    return NULL;
}

/* From the topmost down. Layers that change nothing are layers there as well. */
static fallible find_podman_layers(struct taking *t)
{
    const char *id = t->image->top;
    for (size_t i = t->config->rootfs->diff_ids.n; i > 0; i--) {
        const json_t *layer = id ? podman_layer(t->f, id) : NULL;
        const char *diff = json_string_value(json_object_get(layer, "diff-digest"));
        if (!layer || !is_hex(id))
            return err_new(ERR_CORRUPT, "its layer %zu is not there", i);
        if (diff && !str_eq(diff, t->config->rootfs->diff_ids.items[i - 1]))
            return err_new(ERR_CORRUPT, "its layer %zu has the digest %.100s instead of %s", i, diff,
                           t->config->rootfs->diff_ids.items[i - 1]);
        t->layers[i - 1].record = mem_printf("overlay-layers/%s.tar-split.gz", id);
        t->layers[i - 1].files = mem_printf("overlay/%s/diff", id);
        id = json_string_value(json_object_get(layer, "parent"));
    }
    return NULL;
}

/* CHAIN of the lowest layer is its diffID, of another the digest of "CHAIN-BELOW DIFFID". */
static fallible find_docker_layers(struct taking *t)
{
    own_mem char *chain = NULL;
    for (size_t i = 0; i < t->config->rootfs->diff_ids.n; i++) {
        const char *diff = t->config->rootfs->diff_ids.items[i];
        own_mem char *both = chain ? mem_printf("%s %s", chain, diff) : NULL;
        own_mem char *cache_id = NULL;
        size_t len = 0;
        free(chain);
        chain = both ? digest_of(both, strlen(both)) : mem_strdup(diff);
        own_mem char *path = mem_printf("image/overlay2/layerdb/sha256/%s/cache-id", digest_hex(chain));
        TRY_AS(read_file(t->f, path, WORD_MAX, &cache_id, &len), "its layer %zu", i + 1);
        cache_id[strcspn(cache_id, "\n")] = '\0';
        if (!*cache_id || strspn(cache_id, "0123456789abcdefghijklmnopqrstuvwxyz-") != strlen(cache_id))
            return err_new(ERR_CORRUPT, "'%s' holds no layer's name", path);
        t->layers[i].record = mem_printf("image/overlay2/layerdb/sha256/%s/tar-split.json.gz", digest_hex(chain));
        t->layers[i].files = mem_printf("overlay2/%s/diff", cache_id);
    }
    return NULL;
}

struct passing { /* the tar on its way to the layer, and into a blob when that is wanted */
    struct stream_source from;
    struct blob *blob;
    int64_t bytes;
};
static err *pass(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct passing *p = ctx;
    TRY(p->from.read(p->from.ctx, buf, max, ret_n));
    p->bytes += (int64_t)*ret_n;
    return p->blob && *ret_n ? blob_add(p->blob, buf, *ret_n) : NULL;
}

static fallible read_all(struct passing *p)
{
    own_mem char *buf = mem_alloc(CHUNK);
    for (size_t n = 1; n > 0;)
        TRY(pass(p, buf, CHUNK, &n));
    return NULL;
}

static fallible take_bytes(struct taking *t, const char *diff_id, struct tarsplit *split, int64_t *ret_bytes)
{
    own(blob) struct blob *blob = NULL;
    struct passing p = { .from = tarsplit_source(split) };
    if (t->keep_packed)
        TRY(blob_begin_new(t->l, &blob));
    p.blob = blob;
    struct unpack u = { .source = { pass, &p }, .diff_id = diff_id, .origin = t->origin };
    err *e = layer_use(t->l, diff_id) ? read_all(&p) : layer_unpack(t->l, &u, NULL);
    if (!e && blob)
        e = blob_end(blob);
    if (!e && blob && !str_eq(blob_digest(blob), diff_id))
        e = err_new(ERR_CORRUPT, "its tar has the digest %s instead of %s", blob_digest(blob), diff_id);
    if (e && blob)
        blob_discard(take(blob));
    *ret_bytes = p.bytes;
    return e;
}

/* A layer that is here already, as well packed, need not be read. */
static bool is_here(const struct taking *t, const char *diff_id, int64_t *ret_bytes)
{
    err *e = layer_size(t->l, diff_id, ret_bytes);
    if (e) {
        err_ignore(e, "it is not here");
        return false;
    }
    return layer_use(t->l, diff_id) && (!t->keep_packed || layout_use_blob(t->l, diff_id, -1));
}

static fallible take_layer(struct taking *t, size_t i)
{
    const char *diff_id = t->config->rootfs->diff_ids.items[i];
    own(tarsplit) struct tarsplit *split = NULL;
    own_fd int record_fd = -1;
    own_fd int files_fd = -1;
    struct oci_descriptor *d = &t->descriptors[i];
    d->digest = mem_strdup(diff_id);
    d->media_type = mem_strdup(MEDIA_OCI_LAYER);
    TRY(open_file(t->f, t->layers[i].record, &record_fd));
    if (is_here(t, diff_id, &d->size)) {
        t->origin->layers_here++;
        return t->keep_packed ? NULL : restore_keep(t->l, diff_id, record_fd);
    }
    TRY(root_open(t->f->root_fd, t->layers[i].files, O_RDONLY | O_DIRECTORY, &files_fd));
    TRY(tarsplit_open(record_fd, files_fd, &split));
    t->origin->fd = files_fd;
    err *e = take_bytes(t, diff_id, split, &d->size);
    t->origin->fd = -1;
    TRY(e);
    return t->keep_packed ? NULL : restore_keep(t->l, diff_id, record_fd);
}

static fallible describe(struct taking *t, struct oci_descriptor **ret_target)
{
    own_mem char *id = NULL;
    own_mem char *digest = NULL;
    TRY(blob_put(t->l, t->config_text, t->config_len, &id));
    struct oci_descriptor config = { .media_type = (char *)MEDIA_OCI_CONFIG,
                                     .digest = id,
                                     .size = (int64_t)t->config_len };
    struct oci_manifest m = {
        .schema_version = 2,
        .media_type = (char *)MEDIA_OCI_MANIFEST,
        .config = &config,
        .layers = t->descriptors,
        .layers_n = t->config->rootfs->diff_ids.n,
    };
    own_mem char *text = bind_write(&oci_manifest_type, &m, BIND_COMPACT);
    TRY(blob_put(t->l, text, strlen(text), &digest));
    struct oci_descriptor *target = mem_zalloc(sizeof *target);
    target->media_type = mem_strdup(MEDIA_OCI_MANIFEST);
    target->size = (int64_t)strlen(text);
    target->digest = take(digest);
    *ret_target = target;
    return NULL;
}

static fallible take_all(struct taking *t, struct oci_descriptor **ret_target)
{
    TRY(read_config(t));
    TRY(t->f->engine == FOREIGN_PODMAN ? find_podman_layers(t) : find_docker_layers(t));
    for (size_t i = 0; i < t->config->rootfs->diff_ids.n; i++)
        TRY_AS(take_layer(t, i), "layer %.12s", digest_hex(t->config->rootfs->diff_ids.items[i]));
    err_ignore(merged_make(t->l, &t->config->rootfs->diff_ids), "a container's start tries again, or does without");
    return describe(t, ret_target);
}

fallible foreign_take(const struct foreign *f, const struct foreign_image *image, struct layout *l, bool keep_packed,
                      struct untar_origin *origin, struct oci_descriptor **ret_target)
{
    struct taking t = { .f = f, .image = image, .l = l, .keep_packed = keep_packed, .origin = origin };
    err *e = take_all(&t, ret_target);
    taking_clear(&t);
    return e ? err_wrap(e, "image '%.12s'", image->id) : NULL;
}
