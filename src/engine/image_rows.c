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

#define MAGIC "husk images 2"

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

struct words {
    size_t n, room;
};
/* A number, and so many words behind those that there are. */
static bool read_words(const char **at, const char *end, struct image_rows *r, struct words *w, size_t *ret_n)
{
    int64_t n = 0;
    if (!next_number(at, end, end - *at, &n))
        return false;
    *ret_n = (size_t)n;
    for (int64_t i = 0; i < n; i++) {
        const char *word = next_word(at, end);
        if (!word)
            return false;
        if (w->n == w->room) {
            w->room = w->room ? w->room * 2 : 1024;
            r->labels = mem_array(r->labels, w->room, sizeof *r->labels);
        }
        r->labels[w->n++] = word;
    }
    return true;
}

static bool read_row(const char **at, const char *end, struct image_rows *r, struct image_row *row, struct words *w)
{
    row->name = next_word(at, end);
    row->top = next_word(at, end);
    row->id = next_word(at, end);
    row->manifest_digest = next_word(at, end);
    row->created = next_word(at, end);
    if (!row->created || !next_number(at, end, INT64_MAX, &row->bytes))
        return false;
    if (!*row->name)
        row->name = NULL;
    return read_words(at, end, r, w, &row->labels_n) && read_words(at, end, r, w, &row->layers_n);
}

/* Takes the text apart from where the images begin. */
static bool read_rows(struct image_rows *r, const char *at, const char *end)
{
    struct words words = { 0 };
    size_t room = 0;
    while (at < end) {
        if (r->n == room) {
            room = room ? room * 2 : 64;
            r->rows = mem_array(r->rows, room, sizeof *r->rows);
        }
        if (!read_row(&at, end, r, &r->rows[r->n], &words))
            return false;
        r->n++;
    }
    size_t first = 0; /* the list has moved while it grew */
    for (size_t i = 0; i < r->n; i++) {
        r->rows[i].labels = r->labels + first;
        first += r->rows[i].labels_n;
        r->rows[i].layers = r->labels + first;
        first += r->rows[i].layers_n;
    }
    return true;
}

/* What the file holds; whether it is all as it is now is *ret_same. NULL: no such file. */
static struct image_rows *recall(int run, const char *stamp, const char *index, size_t index_len, bool *ret_same)
{
    own(image_rows) struct image_rows *r = mem_zalloc(sizeof *r);
    size_t len = 0;
    int64_t n = 0;
    *ret_same = false;
    own(err) err *e = fs_read_at(run, "images", REMEMBERED_MAX, &r->text, &len);
    if (e)
        return NULL;
    const char *at = r->text, *end = at + len;
    const char *magic = next_word(&at, end), *was = next_word(&at, end);
    if (!was || strcmp(magic, MAGIC) != 0 || !next_number(&at, end, INDEX_MAX, &n) || end - at <= n || at[n] != '\0')
        return NULL;
    *ret_same = strcmp(was, stamp) == 0 && (size_t)n == index_len && memcmp(at, index, index_len) == 0;
    return read_rows(r, at + n + 1, end) ? take(r) : NULL;
}

/* ---- made anew ---- */

static void add_word(struct str *s, const char *word)
{
    str_add_n(s, word ? word : "", (word ? strlen(word) : 0) + 1);
}

/* Images share layers: each one's size is asked for once. */
struct sizes {
    struct strv ids;
    int64_t *bytes;
    size_t last;
};
static inline void own_drop_sizes(struct sizes *s)
{
    strv_free(&s->ids);
    free(s->bytes);
}

static int64_t size_of(struct layout *l, struct sizes *s, const char *diff_id)
{
    for (size_t i = 0; i < s->ids.n; i++) {
        size_t at = (s->last + i) % s->ids.n;
        if (str_eq(s->ids.items[at], diff_id)) {
            s->last = at + 1; /* the next one asked for is often the next one */
            return s->bytes[at];
        }
    }
    int64_t bytes = 0;
    err_ignore(layer_size(l, diff_id, &bytes), "a missing layer counts nothing");
    strv_add(&s->ids, diff_id);
    s->bytes = mem_array(s->bytes, s->ids.n, sizeof *s->bytes);
    s->bytes[s->ids.n - 1] = bytes;
    return bytes;
}

static void add_words(struct str *s, const char *const *words, size_t n)
{
    str_printf(s, "%zu", n);
    str_add_char(s, '\0');
    for (size_t i = 0; i < n; i++)
        add_word(s, words[i]);
}

static void add_row(struct layout *l, const struct image_row *row, struct sizes *sizes, struct str *s)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < row->layers_n; i++)
        bytes += size_of(l, sizes, row->layers[i]);
    add_word(s, row->name);
    add_word(s, row->top);
    add_word(s, row->id);
    add_word(s, row->manifest_digest);
    add_word(s, row->created);
    str_printf(s, "%lld", (long long)bytes);
    str_add_char(s, '\0');
    add_words(s, row->labels, row->labels_n);
    add_words(s, row->layers, row->layers_n);
}

static void add_image(struct layout *l, const struct image *image, const char *top, struct sizes *sizes, struct str *s)
{
    const struct oci_image_run *config = image->config->config;
    own_strv struct strv labels = { 0 };
    for (size_t i = 0; config && i < config->labels.n; i++)
        strv_add_printf(&labels, "%s=%s", config->labels.items[i].key, config->labels.items[i].value);
    struct image_row row = {
        .name = image->name,
        .top = top,
        .id = image->id,
        .manifest_digest = image->manifest_digest,
        .created = image->config->created,
        .labels = (const char *const *)labels.items,
        .labels_n = labels.n,
        .layers = (const char *const *)image->config->rootfs->diff_ids.items,
        .layers_n = image->config->rootfs->diff_ids.n,
    };
    add_row(l, &row, sizes, s);
}

static bool is_there(struct layout *l, const char *digest)
{
    own_mem char *path = digest_valid(digest) ? layout_blob_path(digest) : NULL;
    return path && faccessat(l->fd, path, F_OK, 0) == 0;
}

/* An image of that digest that was read before: its documents cannot have changed, but they may be gone. */
static const struct image_row *known(struct layout *l, const struct image_rows *old, const char *top, size_t *last)
{
    for (size_t i = 0; old && i < old->n; i++) {
        size_t at = (*last + i) % old->n;
        const struct image_row *row = &old->rows[at];
        if (strcmp(row->top, top) != 0)
            continue;
        *last = at + 1;
        /* which image of an index it is depends on what else is here */
        return strcmp(top, row->manifest_digest) == 0 && is_there(l, top) && is_there(l, row->id) ? row : NULL;
    }
    return NULL;
}

struct making {
    struct layout *l;
    const struct image_rows *old; /* may be NULL */
    size_t last;
    struct sizes sizes;
    struct str *s;
    bool all;
};

static fallible add_one(struct making *m, struct oci_descriptor *d)
{
    struct oci_index alone = { .manifests = d, .manifests_n = 1 };
    struct image **images = NULL;
    size_t n = 0;
    bool all = false;
    const struct image_row *row = known(m->l, m->old, d->digest, &m->last);
    if (row) {
        own_mem char *name = image_name_of(d);
        struct image_row named = *row;
        named.name = name;
        add_row(m->l, &named, &m->sizes, m->s);
        return NULL;
    }
    TRY(image_list_of(m->l, &alone, &images, &n, &all));
    m->all &= all;
    for (size_t i = 0; i < n; i++) {
        add_image(m->l, images[i], d->digest, &m->sizes, m->s);
        image_free(images[i]);
    }
    free(images);
    return NULL;
}

/* From the very text that is remembered with them: index.json itself may be another by now. */
static fallible add_images(struct layout *l, const char *text, size_t len, const struct image_rows *old, struct str *s,
                           bool *ret_all)
{
    own(oci_index) struct oci_index *index = NULL;
    struct making m = { .l = l, .old = old, .s = s, .all = true };
    err *e = oci_index_read(text, len, &index);
    if (e) {
        own(err) err *wrong = e;
        return err_new(ERR_CORRUPT, "image store '%s': index.json: %s", l->path, err_text(wrong));
    }
    for (size_t i = 0; i < index->manifests_n && !e; i++)
        e = add_one(&m, &index->manifests[i]);
    own_drop_sizes(&m.sizes);
    *ret_all = m.all;
    return e;
}

fallible image_rows(struct engine *e, struct image_rows **ret)
{
    struct layout *l;
    own_fd int run = -1;
    own_mem char *index = NULL;
    own_str struct str s = { 0 };
    size_t index_len = 0;
    bool young = false, all = false, same = false;
    TRY(engine_layout(e, &l));
    TRY(paths_open_run(e->run, &run));
    own_mem char *stamp = stamp_of(l, &young);
    TRY_AS(fs_read_at(l->fd, "index.json", INDEX_MAX, &index, &index_len), "image store '%s'", l->path);
    own(image_rows) struct image_rows *old = recall(run, stamp, index, index_len, &same);
    if (old && same && !young) {
        *ret = take(old);
        return NULL;
    }
    add_word(&s, MAGIC);
    add_word(&s, stamp);
    str_printf(&s, "%zu", index_len);
    str_add_char(&s, '\0');
    add_word(&s, index);
    size_t begin = s.len;
    TRY(add_images(l, index, index_len, old, &s, &all));
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
