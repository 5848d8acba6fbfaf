// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/check_images.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "image/ref.h"
#include "image/settings.h"
#include "layers/extents.h"
#include "layers/layer.h"
#include "os/fs.h"

/* Something is made and then locked: for that moment it is nobody's. */
enum { YOUNG_S = 5, MISSING_SHOWN = 3 };

struct look {
    struct layout *l;
    check_image_problem *problem;
    void *ctx;
};

/* The digits of what an image lacks. */
struct lack {
    struct str text;
    size_t n;
};
static void lacks(struct lack *lack, const char *what, const char *digest)
{
    if (lack->n++ < MISSING_SHOWN)
        str_printf(&lack->text, "%s%s %.12s", lack->n > 1 ? ", " : "", what, digest_hex(digest));
}

/* A layer is there as files or, to be unpacked again, as a blob; files are what a container needs. */
static void look_at_layers(struct look *k, const struct image *image, struct lack *lack)
{
    const struct oci_manifest *m = image->manifest;
    const struct strv *ids = &image->config->rootfs->diff_ids;
    for (size_t i = 0; i < ids->n; i++)
        if (!layer_exists(k->l, ids->items[i]))
            lacks(lack, "layer", ids->items[i]);
    for (size_t i = 0; i < m->layers_n; i++) {
        own_fd int fd = -1;
        own(err) err *e = layout_open_blob(k->l, m->layers[i].digest, m->layers[i].size, &fd);
        if (e && !err_is(e, ERR_NOT_FOUND))
            lacks(lack, "blob (its size is wrong)", m->layers[i].digest);
    }
}

/* ---- names that builds give for their own length ---- */

/* As src/build gives them: a word and twelve digits. A user's own name is none. */
static bool is_build_name(const char *name)
{
    static const char *const words[] = { "cache:", "context:", "debug:", "output:" };
    static const char prefix[] = LAYOUT_BUILD_NAMES;
    if (!name || !str_starts(name, prefix))
        return false;
    name += strlen(prefix);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_starts(name, words[i])) {
            const char *digits = name + strlen(words[i]);
            return strlen(digits) == 12 && strspn(digits, "0123456789abcdef") == 12;
        }
    return false;
}

/* Each holds its directory in staging before it gives a name. */
static bool builds_are_at_work(struct layout *l)
{
    int fd = openat(l->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        own_fd int one = str_starts(entry->d_name, "build-")
                             ? openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
                             : -1;
        if (one >= 0 && flock(one, LOCK_EX | LOCK_NB) < 0)
            return true;
    }
    return false;
}

fallible check_images_drop_build_name(struct engine *e, const char *name)
{
    struct layout *l;
    TRY(engine_layout(e, &l));
    if (builds_are_at_work(l))
        return err_new(ERR_CONFLICT, "a build is at work, and it may be its name");
    err *gone = layout_remove_name(l, name);
    if (!err_is(gone, ERR_NOT_FOUND))
        return gone;
    err_ignore(gone, "its build took it away");
    return NULL;
}

static fallible look_at_image(struct look *k, const struct oci_descriptor *d)
{
    const char *name = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
    if (is_build_name(name)) {
        own_mem char *of_build = mem_printf("image '%s': a name of a build that was killed", name);
        return builds_are_at_work(k->l) ? NULL : k->problem(k->ctx, CHECK_IMAGE_BUILD_NAME, name, of_build);
    }
    own(image) struct image *image = NULL;
    struct lack lack = { 0 };
    own_mem char *what = mem_strdup(name ? name : d->digest), *text = NULL;
    err *e = image_of_descriptor(k->l, d, &image);
    /* an artifact; a list of images that are elsewhere */
    if (err_is(e, ERR_UNSUPPORTED) || (err_is(e, ERR_NOT_FOUND) && media_is_index(d->media_type))) {
        err_ignore(e, "it is no image that could be broken");
        return NULL;
    }
    if (e) {
        text = mem_printf("image '%s': %s", what, err_text(e));
        err_free(e);
        return k->problem(k->ctx, CHECK_IMAGE_BROKEN, what, text);
    }
    look_at_layers(k, image, &lack);
    if (lack.n > 0) {
        text = mem_printf("image '%s': it lacks %s%s", what, lack.text.text, lack.n > MISSING_SHOWN ? " and more" : "");
        e = k->problem(k->ctx, CHECK_IMAGE_BROKEN, what, text);
    }
    str_free(&lack.text);
    return e;
}

static bool is_abandoned(int dir_fd, const char *name)
{
    struct stat st;
    own_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && time(NULL) - st.st_mtime >= YOUNG_S;
}

/* A blob's first part is no rubbish: a pull goes on with it. */
static fallible look_at_staging(struct look *k)
{
    int fd = openat(k->l->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    size_t n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.' && !str_starts(entry->d_name, "blob-") && is_abandoned(dirfd(dir), entry->d_name);
    if (n == 0)
        return NULL;
    own_mem char *text = mem_printf("image store: %zu pieces of work that was cut short in staging", n);
    return k->problem(k->ctx, CHECK_IMAGE_STAGING, "", text);
}

static fallible look_at_extents(struct look *k)
{
    struct settings settings;
    TRY(settings_read(&settings));
    k->l->share_extents = settings.share_extents;
    own(err) err *wrong = extents_check(k->l);
    if (!err_is(wrong, ERR_CORRUPT))
        return take(wrong);
    own_mem char *text = mem_printf("image store: %s", err_text(wrong));
    return k->problem(k->ctx, CHECK_IMAGE_EXTENTS, "", text);
}

fallible check_images(struct engine *e, check_image_problem *problem, void *ctx)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *path = mem_printf("%s/index.json", e->root);
    struct look k = { .problem = problem, .ctx = ctx };
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return NULL;
    TRY(engine_layout(e, &k.l));
    TRY(layout_read_index(k.l, &index));
    for (size_t i = 0; i < index->manifests_n; i++)
        TRY(look_at_image(&k, &index->manifests[i]));
    TRY(look_at_staging(&k));
    return look_at_extents(&k);
}
