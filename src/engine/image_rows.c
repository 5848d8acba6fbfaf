// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/image_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/parse.h"
#include "engine/image_rows_parts.h"
#include "engine/paths.h"
#include "os/fs.h"

#define MAGIC "husk images 3"

enum {
    REMEMBERED_MAX = 64 << 20,
    INDEX_MAX = 16 << 20,
    SPARE = 16 << 10,
    YOUNG_NS = 100000000, /* the kernel's clock for files moves in ticks of up to 10 ms */
};

void image_rows_free(struct image_rows *r)
{
    if (!r)
        return;
    free(r->rows);
    free(r->memory);
    free(r->labels);
    free(r->text);
    free(r);
}

/* ---- is it still so? ---- */

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What changes whenever a blob or a layer comes or goes. */
struct stamp {
    char *store, *blobs, *layers;
    bool young_blobs, young_layers; /* changed so lately that the next change might not show */
};
static inline void own_drop_stamp(struct stamp *s)
{
    free(s->store);
    free(s->blobs);
    free(s->layers);
}

static void add_place(struct layout *l, const char *dir, struct str *s, bool *young)
{
    struct stat st = { 0 };
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (fstatat(l->fd, dir, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
        *young = true;
    str_printf(s, "%llu:%llu:%lld:%lld;", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
               (long long)ns_of(st.st_mtim), (long long)ns_of(st.st_ctim));
    /* a time of the future is one of another clock: nothing can be said */
    *young |= ns_of(now) - ns_of(st.st_mtim) < YOUNG_NS || ns_of(now) - ns_of(st.st_ctim) < YOUNG_NS;
}

static void take_stamp(struct layout *l, struct stamp *ret)
{
    own_str struct str blobs = { 0 }, layers = { 0 };
    struct stat st = { 0 };
    bool none = fstatat(l->fd, ".", &st, 0) < 0;
    add_place(l, "blobs/sha256", &blobs, &ret->young_blobs);
    add_place(l, "blobs/sha512", &blobs, &ret->young_blobs);
    add_place(l, "layers", &layers, &ret->young_layers);
    ret->young_blobs |= none;
    /* the store itself, in which index.json is replaced: that is compared as it is */
    ret->store = mem_printf("%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    ret->blobs = str_take(&blobs);
    ret->layers = str_take(&layers);
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

static bool read_row(const char **at, const char *end, struct image_rows *r, size_t i, struct words *w)
{
    struct image_row *row = &r->rows[i];
    struct image_memory *m = &r->memory[i];
    const char *flags = next_number(at, end, INT64_MAX, &m->entry) ? next_word(at, end) : NULL;
    if (!flags)
        return false;
    m->fixed = strchr(flags, 'f');
    m->whole = strchr(flags, 'w');
    m->rest = *at;
    row->name = next_word(at, end);
    row->top = next_word(at, end);
    row->id = next_word(at, end);
    row->manifest_digest = next_word(at, end);
    row->created = next_word(at, end);
    if (!row->created || !next_number(at, end, INT64_MAX, &row->bytes))
        return false;
    if (!*row->name)
        row->name = NULL;
    if (!read_words(at, end, r, w, &row->labels_n) || !read_words(at, end, r, w, &row->layers_n))
        return false;
    m->rest_len = (size_t)(*at - m->rest);
    return true;
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
            r->memory = mem_array(r->memory, room, sizeof *r->memory);
        }
        if (!read_row(&at, end, r, r->n, &words))
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

/* What the file holds, and what of it is as it is now. NULL: no such file. */
static struct image_rows *recall(int run, const struct stamp *now, const char *index, size_t index_len,
                                 struct image_same *ret_same)
{
    own(image_rows) struct image_rows *r = mem_zalloc(sizeof *r);
    size_t len = 0;
    int64_t n = 0;
    *ret_same = (struct image_same){ 0 };
    own(err) err *e = fs_read_at(run, "images", REMEMBERED_MAX, &r->text, &len);
    if (e)
        return NULL;
    r->text_len = len;
    const char *at = r->text, *end = at + len;
    const char *magic = next_word(&at, end), *store = next_word(&at, end), *blobs = next_word(&at, end),
               *layers = next_word(&at, end);
    if (!layers || strcmp(magic, MAGIC) != 0 || !next_number(&at, end, INDEX_MAX, &n) || end - at <= n || at[n] != '\0')
        return NULL;
    r->index = at;
    r->index_len = (size_t)n;
    if (strcmp(store, now->store) == 0)
        *ret_same = (struct image_same){ .index = r->index_len == index_len && memcmp(at, index, index_len) == 0,
                                         .blobs = !now->young_blobs && strcmp(blobs, now->blobs) == 0,
                                         .layers = !now->young_layers && strcmp(layers, now->layers) == 0 };
    return read_rows(r, at + n + 1, end) ? take(r) : NULL;
}

/* ---- all ---- */

static void add_header(struct str *s, const struct stamp *stamp, const char *index, size_t index_len)
{
    image_rows_add_word(s, MAGIC);
    image_rows_add_word(s, stamp->store);
    image_rows_add_word(s, stamp->blobs);
    image_rows_add_word(s, stamp->layers);
    str_printf(s, "%zu", index_len);
    str_add_char(s, '\0');
    image_rows_add_word(s, index);
}

fallible image_rows(struct engine *e, struct image_rows **ret)
{
    struct layout *l;
    own_fd int run = -1;
    own_mem char *index = NULL;
    own_str struct str s = { 0 };
    own(stamp) struct stamp stamp = { 0 };
    struct image_same same = { 0 };
    size_t index_len = 0;
    TRY(engine_layout(e, &l));
    TRY(paths_open_run(e->run, &run));
    take_stamp(l, &stamp);
    bool all = true, young = stamp.young_blobs || stamp.young_layers;
    TRY_AS(fs_read_at(l->fd, "index.json", INDEX_MAX, &index, &index_len), "image store '%s'", l->path);
    own(image_rows) struct image_rows *old = recall(run, &stamp, index, index_len, &same);
    if (old && same.index && same.blobs && same.layers) {
        *ret = take(old);
        return NULL;
    }
    if (old) { /* it will be as long as it was, or nearly */
        s.room = old->text_len + index_len + SPARE;
        s.text = mem_alloc(s.room);
    }
    add_header(&s, &stamp, index, index_len);
    size_t begin = s.len;
    TRY(image_rows_make(l, old, &same, index, index_len, &s, &all));
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
