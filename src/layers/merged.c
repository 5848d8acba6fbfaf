// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/merged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "image/settings.h"
#include "layers/erofs.h"
#include "os/fs.h"

/* ---- which form ---- */

fallible layer_form_choose(struct layout *l)
{
    const char *word = getenv("HUSK_LAYERS");
    struct settings settings = { .layers = SETTINGS_LAYERS_AUTO };
    l->erofs = false;
    TRY(settings_read(&settings));
    l->share_extents = settings.share_extents;
    if (word && *word)
        settings.layers = str_eq(word, "erofs") ? SETTINGS_LAYERS_EROFS : SETTINGS_LAYERS_FILES;
    if (word && *word && !str_eq(word, "erofs") && !str_eq(word, "files") && !str_eq(word, "auto"))
        return err_new(ERR_INVALID, "HUSK_LAYERS: '%s' is not one of erofs, files, auto", word);
    if (settings.layers != SETTINGS_LAYERS_EROFS)
        return NULL; /* auto is files: docs/adr/0025 */
    if (!erofs_works(l->fd))
        return err_new(ERR_UNSUPPORTED, "layers = erofs: only root can mount EROFS from files, on Linux 6.12 or newer, "
                                        "and not from a tmpfs: use HUSK_LAYERS=files");
    l->erofs = true;
    return NULL;
}

enum layer_form layer_form_of(struct layout *l, const char *diff_id)
{
    own_mem char *path = mem_printf("layers/%s/index", digest_hex(diff_id));
    return faccessat(l->fd, path, F_OK, 0) == 0 ? LAYER_EROFS : LAYER_FILES;
}

/* ---- files of a layer ---- */

static fallible open_part(struct layout *l, const char *diff_id, const char *part, int *ret_fd)
{
    own_mem char *path = mem_printf("layers/%s/%s", digest_hex(diff_id), part);
    int fd = openat(l->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s' of layer '%s'", part, diff_id);
    *ret_fd = fd;
    return NULL;
}

/* Descriptors of all layers' tars, closed together. */
struct tars {
    int *fds;
    size_t n;
};
static void own_drop_tars(struct tars *t)
{
    for (size_t i = 0; i < t->n; i++)
        (void)close(t->fds[i]);
    free(t->fds);
}

static fallible open_tars(struct layout *l, const struct strv *diff_ids, struct tars *t)
{
    t->fds = mem_array(NULL, diff_ids->n + 1, sizeof *t->fds);
    for (size_t i = 0; i < diff_ids->n; i++) {
        TRY(open_part(l, diff_ids->items[i], "tar", &t->fds[i]));
        t->n++;
    }
    return NULL;
}

fallible layer_mount(struct layout *l, const char *diff_id, int *ret_mount_fd)
{
    own_fd int index = -1;
    own_fd int tar = -1;
    TRY(open_part(l, diff_id, "index", &index));
    TRY(open_part(l, diff_id, "tar", &tar));
    TRY_AS(erofs_mount(index, &tar, 1, ret_mount_fd), "layer '%s'", diff_id);
    return NULL;
}

/* ---- indexes of several layers ---- */

void merged_key(const struct strv *diff_ids, char ret[17])
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < diff_ids->n; i++)
        for (const char *p = diff_ids->items[i]; *p; p++)
            h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
    (void)snprintf(ret, 17, "%016llx", (unsigned long long)h);
}

static char *merged_path(const struct strv *diff_ids)
{
    char key[17];
    merged_key(diff_ids, key);
    return mem_printf("merged/%s", key);
}

bool merged_exists(struct layout *l, const struct strv *diff_ids)
{
    own_mem char *path = merged_path(diff_ids);
    return faccessat(l->fd, path, F_OK, 0) == 0;
}

/* The tags of its device slots (layers/erofs.h) are the layers' digests. */
static bool is_of(int fd, const struct strv *diff_ids)
{
    enum { SLOTS = 1024 + 128, SLOT = 128, COUNT_AT = 1024 + 86 };
    unsigned char count[2];
    char tag[64];
    if (pread(fd, count, 2, COUNT_AT) != 2 || (size_t)(count[0] | count[1] << 8) != diff_ids->n)
        return false;
    for (size_t i = 0; i < diff_ids->n; i++)
        if (pread(fd, tag, sizeof tag, (off_t)(SLOTS + i * SLOT)) != sizeof tag ||
            strncmp(tag, digest_hex(diff_ids->items[i]), sizeof tag) != 0)
            return false;
    return true;
}

fallible merged_mount(struct layout *l, const struct strv *diff_ids, int *ret_mount_fd)
{
    own(tars) struct tars tars = { 0 };
    own_mem char *path = merged_path(diff_ids);
    own_fd int fd = openat(l->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *ret_mount_fd = -1;
    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0)
        return err_sys(errno, "open '%s/%s'", l->path, path);
    if (!is_of(fd, diff_ids))
        return NULL;
    TRY(open_tars(l, diff_ids, &tars));
    return erofs_mount(fd, tars.fds, tars.n, ret_mount_fd);
}

/* The whole tar is one piece of memory: passing over contents touches none of it. */
struct mapped {
    unsigned char *bytes;
    size_t n;
    bool given;
};
static fallible next_bytes(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct mapped *m = ctx;
    *ret_bytes = m->bytes;
    *ret_n = m->given ? 0 : m->n;
    m->given = true;
    return NULL;
}

static fallible read_layer(struct erofs *e, int fd, uint16_t device, uint64_t *ret_bytes)
{
    struct stat st;
    struct mapped m = { 0 };
    struct untar_limits limits = { 0 };
    TRY(untar_limits_fill(&limits));
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at the tar");
    m.n = (size_t)st.st_size;
    m.bytes = m.n ? mmap(NULL, m.n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (m.bytes == MAP_FAILED)
        return err_sys(errno, "map the tar");
    if (m.n)
        (void)madvise(m.bytes, m.n, MADV_RANDOM); /* headers, far apart */
    own(tar) struct tar *t = tar_new((struct tar_source){ next_bytes, &m });
    err *failed = erofs_read_tar(e, t, &limits, device);
    if (m.n)
        (void)munmap(m.bytes, m.n);
    *ret_bytes = m.n;
    return failed;
}

static fallible same_bytes(int a, int b, bool *ret)
{
    own_mem char *ta = NULL, *tb = NULL;
    size_t na = 0, nb = 0;
    enum { INDEX_MAX = 1 << 30 };
    TRY(fs_read_fd(a, "index", INDEX_MAX, &ta, &na));
    TRY(fs_read_fd(b, "index", INDEX_MAX, &tb, &nb));
    *ret = na == nb && memcmp(ta, tb, na) == 0;
    return NULL;
}

fallible layer_index_fits(int layer_fd, const char *diff_id, bool *ret)
{
    own_fd int tar = openat(layer_fd, "tar", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int is = openat(layer_fd, "index", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int want = -1;
    own(erofs) struct erofs *e = erofs_new();
    struct erofs_device device = { .diff_id = diff_id };
    if (tar < 0 || is < 0)
        return err_sys(errno, "open the layer's files");
    TRY(fs_memfd("index", &want));
    TRY(read_layer(e, tar, 0, &device.bytes));
    TRY(erofs_write(e, &device, 1, want));
    if (lseek(want, 0, SEEK_SET) < 0)
        return err_sys(errno, "read the index");
    return same_bytes(is, want, ret);
}

static fallible merge(struct layout *l, const struct strv *diff_ids, struct erofs *all, struct erofs_device *devices)
{
    own(tars) struct tars tars = { 0 };
    TRY(open_tars(l, diff_ids, &tars));
    for (size_t i = 0; i < diff_ids->n; i++) {
        own(erofs) struct erofs *layer = erofs_new();
        devices[i].diff_id = diff_ids->items[i];
        TRY_AS(read_layer(layer, tars.fds[i], (uint16_t)i, &devices[i].bytes), "layer '%s'", diff_ids->items[i]);
        erofs_merge(all, layer);
    }
    return NULL;
}

fallible merged_make(struct layout *l, const struct strv *diff_ids)
{
    own(erofs) struct erofs *all = erofs_new();
    own_mem struct erofs_device *devices = mem_array(NULL, diff_ids->n + 1, sizeof *devices);
    own_mem char *name = layout_stage_name("merged");
    own_mem char *path = merged_path(diff_ids), *staged = mem_printf("tmp/%s", name);
    own_fd int fd = -1;
    if (diff_ids->n < 2 || diff_ids->n > UINT16_MAX || merged_exists(l, diff_ids))
        return NULL;
    for (size_t i = 0; i < diff_ids->n; i++)
        if (layer_form_of(l, diff_ids->items[i]) != LAYER_EROFS)
            return NULL;
    TRY(merge(l, diff_ids, all, devices));
    TRY(layout_stage(l, name, LAYOUT_STAGE_FILE, &fd));
    err *e = erofs_write(all, devices, diff_ids->n, fd);
    if (!e && (fchmod(fd, 0644) < 0 || fdatasync(fd) < 0))
        e = err_sys(errno, "write it to disk");
    if (!e && mkdirat(l->fd, "merged", 0755) < 0 && errno != EEXIST)
        e = err_sys(errno, "make '%s/merged'", l->path);
    if (!e && renameat(l->fd, staged, l->fd, path) < 0)
        e = err_sys(errno, "put it in place");
    if (e)
        (void)unlinkat(l->fd, staged, 0);
    return e ? err_wrap(e, "index of %zu layers", diff_ids->n) : NULL;
}
