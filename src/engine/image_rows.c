// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/image_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/parse.h"
#include "engine/paths.h"
#include "layers/layer.h"
#include "os/fs.h"

#define MAGIC "husk images 1"

enum {
    REMEMBERED_MAX = 64 << 20,
    INDEX_MAX = 16 << 20,
    YOUNG_NS = 100000000, /* the kernel's clock for files moves in ticks of up to 10 ms */
};

void image_rows_free(struct image_rows *r)
{
    if (!r)
        return;
    free(r->rows);
    free(r->labels);
    free(r->text);
    free(r);
}

/* ---- is it still so? ---- */

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What changes whenever a blob or a layer comes or goes; *ret_young: so lately that the next one might not show. */
static char *stamp_of(struct layout *l, bool *ret_young)
{
    static const char *const dirs[] = { ".", "blobs/sha256", "blobs/sha512", "layers" };
    own_str struct str s = { 0 };
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ret_young = false;
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        struct stat st = { 0 };
        if (fstatat(l->fd, dirs[i], &st, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            *ret_young = true;
        str_printf(&s, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        if (i == 0) /* the store itself, in which index.json is replaced: that is compared as it is */
            continue;
        str_printf(&s, ":%lld:%lld ", (long long)ns_of(st.st_mtim), (long long)ns_of(st.st_ctim));
        /* a time of the future is one of another clock: nothing can be said */
        *ret_young |= ns_of(now) - ns_of(st.st_mtim) < YOUNG_NS || ns_of(now) - ns_of(st.st_ctim) < YOUNG_NS;
    }
    return str_take(&s);
}

/* ---- the remembered text ---- */

static const char *next_word(const char **at, const char *end)
{
    const char *word = *at;
    const char *nul = word < end ? memchr(word, '\0', (size_t)(end - word)) : NULL;
    *at = nul ? nul + 1 : end;
    return nul ? word : NULL;
}

static bool next_number(const char **at, const char *end, int64_t max, int64_t *ret)
{
    const char *word = next_word(at, end);
    own(err) err *e = word ? parse_i64(word, 0, max, ret) : NULL;
    return word && !e;
}

/* Of one image; its labels go behind those that there are. */
static bool read_row(const char **at, const char *end, struct image_rows *r, struct image_row *row, size_t *labels_n,
                     size_t *labels_room)
{
    int64_t n = 0;
    row->name = next_word(at, end);
    row->id = next_word(at, end);
    row->manifest_digest = next_word(at, end);
    row->created = next_word(at, end);
    if (!row->created || !next_number(at, end, INT64_MAX, &row->bytes) || !next_number(at, end, end - *at, &n))
        return false;
    if (!*row->name)
        row->name = NULL;
    row->labels_n = (size_t)n;
    for (size_t i = 0; i < row->labels_n; i++) {
        const char *label = next_word(at, end);
        if (!label)
            return false;
        if (*labels_n == *labels_room) {
            *labels_room = *labels_room ? *labels_room * 2 : 256;
            r->labels = mem_array(r->labels, *labels_room, sizeof *r->labels);
        }
        r->labels[(*labels_n)++] = label;
    }
    return true;
}

/* Takes the text apart from where the images begin. */
static bool read_rows(struct image_rows *r, const char *at, const char *end)
{
    size_t labels_n = 0, labels_room = 0, room = 0;
    while (at < end) {
        if (r->n == room) {
            room = room ? room * 2 : 64;
            r->rows = mem_array(r->rows, room, sizeof *r->rows);
        }
        if (!read_row(&at, end, r, &r->rows[r->n], &labels_n, &labels_room))
            return false;
        r->n++;
    }
    size_t first = 0; /* the list has moved while it grew */
    for (size_t i = 0; i < r->n; i++) {
        r->rows[i].labels = r->labels + first;
        first += r->rows[i].labels_n;
    }
    return true;
}

/* Where the images begin, or NULL when the text is not of this store as it is now. */
static const char *still_true(const char *text, size_t len, const char *stamp, const char *index, size_t index_len)
{
    const char *at = text, *end = text + len;
    const char *magic = next_word(&at, end), *was = next_word(&at, end);
    int64_t n = 0;
    if (!was || strcmp(magic, MAGIC) != 0 || strcmp(was, stamp) != 0 || !next_number(&at, end, INDEX_MAX, &n))
        return NULL;
    if ((size_t)n != index_len || end - at <= n || memcmp(at, index, index_len) != 0 || at[n] != '\0')
        return NULL;
    return at + n + 1;
}

static struct image_rows *recall(int run, const char *stamp, const char *index, size_t index_len)
{
    own(image_rows) struct image_rows *r = mem_zalloc(sizeof *r);
    size_t len = 0;
    own(err) err *e = fs_read_at(run, "images", REMEMBERED_MAX, &r->text, &len);
    const char *at = e ? NULL : still_true(r->text, len, stamp, index, index_len);
    return at && read_rows(r, at, r->text + len) ? take(r) : NULL;
}

/* ---- made anew ---- */

static void add_word(struct str *s, const char *word)
{
    str_add_n(s, word ? word : "", (word ? strlen(word) : 0) + 1);
}

static int64_t unpacked_bytes(struct layout *l, const struct image *image)
{
    int64_t sum = 0, n;
    for (size_t i = 0; i < image->config->rootfs->diff_ids.n; i++) {
        err *e = layer_size(l, image->config->rootfs->diff_ids.items[i], &n);
        if (e)
            err_ignore(e, "a missing layer counts nothing");
        else
            sum += n;
    }
    return sum;
}

static void add_image(struct layout *l, const struct image *image, struct str *s)
{
    const struct oci_image_run *config = image->config->config;
    size_t labels_n = config ? config->labels.n : 0;
    add_word(s, image->name);
    add_word(s, image->id);
    add_word(s, image->manifest_digest);
    add_word(s, image->config->created);
    str_printf(s, "%lld", (long long)unpacked_bytes(l, image));
    str_add_char(s, '\0');
    str_printf(s, "%zu", labels_n);
    str_add_char(s, '\0');
    for (size_t i = 0; i < labels_n; i++) {
        str_printf(s, "%s=%s", config->labels.items[i].key, config->labels.items[i].value);
        str_add_char(s, '\0');
    }
}

/* From the very text that is remembered with them: index.json itself may be another by now. */
static fallible add_images(struct layout *l, const char *text, size_t len, struct str *s, bool *ret_all)
{
    own(oci_index) struct oci_index *index = NULL;
    struct image **images = NULL;
    size_t n = 0;
    own(err) err *e = oci_index_read(text, len, &index);
    if (e)
        return err_new(ERR_CORRUPT, "image store '%s': index.json: %s", l->path, err_text(e));
    TRY(image_list_of(l, index, &images, &n, ret_all));
    for (size_t i = 0; i < n; i++) {
        add_image(l, images[i], s);
        image_free(images[i]);
    }
    free(images);
    return NULL;
}

fallible image_rows(struct engine *e, struct image_rows **ret)
{
    struct layout *l;
    own_fd int run = -1;
    own_mem char *index = NULL;
    own_str struct str s = { 0 };
    size_t index_len = 0;
    bool young = false, all = false;
    TRY(engine_layout(e, &l));
    TRY(paths_open_run(e->run, &run));
    own_mem char *stamp = stamp_of(l, &young);
    TRY_AS(fs_read_at(l->fd, "index.json", INDEX_MAX, &index, &index_len), "image store '%s'", l->path);
    if ((*ret = young ? NULL : recall(run, stamp, index, index_len)))
        return NULL;
    add_word(&s, MAGIC);
    add_word(&s, stamp);
    str_printf(&s, "%zu", index_len);
    str_add_char(&s, '\0');
    add_word(&s, index);
    size_t begin = s.len;
    TRY(add_images(l, index, index_len, &s, &all));
    /* What was read may be newer than the stamp above: then the next look finds another. */
    own(err) err *failed = all && !young ? fs_replace_at(run, "images", s.text, s.len, 0600, FS_SYNC_NONE) : NULL;
    if (failed)
        log_debug("images: not remembered: %s", err_text(failed));
    own(image_rows) struct image_rows *r = mem_zalloc(sizeof *r);
    size_t len = s.len;
    r->text = str_take(&s);
    if (!read_rows(r, r->text + begin, r->text + len))
        return err_new(ERR_INTERNAL, "the list of images is not what was written");
    *ret = take(r);
    return NULL;
}
