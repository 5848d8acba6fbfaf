// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <string.h>

#include "codec/slices.h"
#include "engine/image_rows_parts.h"
#include "layers/layer.h"
#include "os/listing.h"

void image_rows_add_word(struct str *s, const char *word)
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

/* -1: it is not there. */
static int64_t size_of(struct layout *l, struct sizes *s, const char *diff_id)
{
    for (size_t i = 0; i < s->ids.n; i++) {
        size_t at = (s->last + i) % s->ids.n;
        if (str_eq(s->ids.items[at], diff_id)) {
            s->last = at + 1; /* the next one asked for is often the next one */
            return s->bytes[at];
        }
    }
    int64_t bytes = -1;
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
        image_rows_add_word(s, words[i]);
}

struct making {
    struct layout *l;
    const struct image_rows *old; /* may be NULL */
    struct image_same same;
    struct listing *blobs, *layers; /* read when the first one is asked for */
    size_t last;
    struct sizes sizes;
    struct str *s;
    bool all;
};
static inline void own_drop_making(struct making *m)
{
    listing_free(m->blobs);
    listing_free(m->layers);
    own_drop_sizes(&m->sizes);
}

static void add_head(struct str *s, size_t entry, bool fixed, bool whole)
{
    str_printf(s, "%zu", entry);
    str_add_char(s, '\0');
    str_printf(s, "%s%s", fixed ? "f" : "", whole ? "w" : "");
    str_add_char(s, '\0');
}

static void add_row(struct str *s, const struct image_row *row)
{
    image_rows_add_word(s, row->name);
    image_rows_add_word(s, row->top);
    image_rows_add_word(s, row->id);
    image_rows_add_word(s, row->manifest_digest);
    image_rows_add_word(s, row->created);
    str_printf(s, "%lld", (long long)row->bytes);
    str_add_char(s, '\0');
    add_words(s, row->labels, row->labels_n);
    add_words(s, row->layers, row->layers_n);
}

/* ---- an image that is read ---- */

/* Is it this machine's of its index, or no index's: then it is shown as long as it is here, whatever else comes. */
static bool is_fixed(struct layout *l, const struct image *image, const char *top)
{
    own(oci_index) struct oci_index *index = NULL;
    const struct oci_descriptor *chosen = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    if (strcmp(top, image->manifest_digest) == 0)
        return true;
    err *e = layout_read_blob(l, top, &text, &len);
    if (!e)
        e = oci_index_read(text, len, &index);
    if (!e)
        e = platform_choose(index, NULL, &chosen);
    err_ignore(e, "then it is looked at again each time");
    return chosen && str_eq(chosen->digest, image->manifest_digest);
}

static void add_image(struct making *m, const struct image *image, const char *top, size_t entry)
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
    bool whole = true;
    for (size_t i = 0; i < row.layers_n; i++) {
        int64_t bytes = size_of(m->l, &m->sizes, row.layers[i]);
        whole &= bytes >= 0;
        row.bytes += bytes > 0 ? bytes : 0;
    }
    add_head(m->s, entry, is_fixed(m->l, image, top), whole);
    add_row(m->s, &row);
}

/* ---- an image that is remembered ---- */

static bool blob_is_there(struct making *m, const char *digest)
{
    if (!digest_valid(digest))
        return false;
    if (!m->blobs && str_starts(digest, "sha256:"))
        err_ignore(listing_read(m->l->fd, "blobs/sha256", &m->blobs), "each is asked for by itself");
    if (m->blobs && str_starts(digest, "sha256:"))
        return listing_has(m->blobs, digest_hex(digest));
    own_mem char *path = layout_blob_path(digest);
    return faccessat(m->l->fd, path, F_OK, 0) == 0;
}

/* Its documents cannot have changed, but they may be gone. */
static bool documents_are_there(struct making *m, size_t i)
{
    const struct image_row *row = &m->old->rows[i];
    return m->same.blobs || (m->old->memory[i].fixed && blob_is_there(m, row->top) && blob_is_there(m, row->id) &&
                             (strcmp(row->top, row->manifest_digest) == 0 || blob_is_there(m, row->manifest_digest)));
}

static bool layers_are_there(struct making *m, size_t i)
{
    const struct image_row *row = &m->old->rows[i];
    if (m->same.layers)
        return true;
    if (!m->layers)
        err_ignore(listing_read(m->l->fd, "layers", &m->layers), "then the image is read again");
    bool all = m->layers && m->old->memory[i].whole;
    for (size_t k = 0; k < row->layers_n && all; k++)
        all = digest_valid(row->layers[k]) && listing_has(m->layers, digest_hex(row->layers[k]));
    return all;
}

static bool is_still_so(struct making *m, size_t i)
{
    return documents_are_there(m, i) && layers_are_there(m, i);
}

/* The same entry as before. */
static void add_same(struct making *m, size_t i, size_t entry)
{
    const struct image_memory *was = &m->old->memory[i];
    add_head(m->s, entry, was->fixed, was->whole);
    str_add_n(m->s, was->rest, was->rest_len);
}

/* An image of that digest that was read before, under another name; -1: none. */
static ssize_t known(struct making *m, const char *top)
{
    for (size_t i = 0; m->old && i < m->old->n; i++) {
        size_t at = (m->last + i) % m->old->n;
        if (strcmp(m->old->rows[at].top, top) != 0)
            continue;
        m->last = at + 1;
        return is_still_so(m, at) ? (ssize_t)at : -1;
    }
    return -1;
}

static fallible add_entry(struct making *m, struct oci_descriptor *d, size_t entry)
{
    struct oci_index alone = { .manifests = d, .manifests_n = 1 };
    struct image **images = NULL;
    size_t n = 0;
    bool all = false;
    ssize_t at = known(m, d->digest);
    if (at >= 0) {
        own_mem char *name = image_name_of(d);
        struct image_row named = m->old->rows[at];
        named.name = name;
        add_head(m->s, entry, m->old->memory[at].fixed, m->old->memory[at].whole);
        add_row(m->s, &named);
        return NULL;
    }
    TRY(image_list_of(m->l, &alone, &images, &n, &all));
    m->all &= all;
    for (size_t i = 0; i < n; i++) {
        add_image(m, images[i], d->digest, entry);
        image_free(images[i]);
    }
    free(images);
    return NULL;
}

/* ---- all of index.json ---- */

/* For each entry of now the row of the same entry as before, and 1; 0: it is to be parsed. Most are where they were. */
static size_t *match(struct making *m, const struct slices *was, const struct slices *now)
{
    size_t *row_of = mem_array(NULL, was->n + 1, sizeof *row_of), *found = mem_array(NULL, now->n + 1, sizeof *found);
    memset(row_of, 0, (was->n + 1) * sizeof *row_of);
    memset(found, 0, (now->n + 1) * sizeof *found);
    for (size_t i = 0; m->old && i < m->old->n; i++)
        if ((uint64_t)m->old->memory[i].entry < was->n)
            row_of[m->old->memory[i].entry] = i + 1;
    for (size_t i = 0, next = 0; i < now->n; i++)
        for (size_t k = 0; k < was->n; k++) {
            size_t at = (next + k) % was->n;
            if (!slice_eq(&now->items[i], &was->items[at]))
                continue;
            next = at + 1;
            found[i] = row_of[at] && is_still_so(m, row_of[at] - 1) ? row_of[at] : 0;
            break;
        }
    free(row_of);
    return found;
}

static fallible read_index(const struct layout *l, const char *text, size_t len, struct oci_index **ret)
{
    own(err) err *wrong = oci_index_read(text, len, ret);
    return wrong ? err_new(ERR_CORRUPT, "image store '%s': index.json: %s", l->path, err_text(wrong)) : NULL;
}

/* Only the entries that are new are parsed: the others' text is that of what was parsed before. */
static fallible add_changed(struct making *m, const char *text, size_t len, const struct slices *was,
                            const struct slices *now)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem size_t *row_of = match(m, was, now);
    own_mem bool *is_new = mem_array(NULL, now->n + 1, sizeof *is_new);
    size_t wanted = 0, next = 0, part_len = 0;
    for (size_t i = 0; i < now->n; i++)
        wanted += is_new[i] = !row_of[i];
    own_mem char *part = slices_only(text, len, now, is_new, &part_len);
    TRY(read_index(m->l, part, part_len, &index));
    if (index->manifests_n != wanted)
        return err_new(ERR_INTERNAL, "index.json is not what it looks like");
    for (size_t i = 0; i < now->n; i++) {
        if (row_of[i])
            add_same(m, row_of[i] - 1, i);
        else
            TRY(add_entry(m, &index->manifests[next++], i));
    }
    return NULL;
}

static fallible add_all(struct making *m, const char *text, size_t len)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(read_index(m->l, text, len, &index));
    for (size_t i = 0; i < index->manifests_n; i++)
        TRY(add_entry(m, &index->manifests[i], i));
    return NULL;
}

/* From the very text that is remembered with them: index.json itself may be another by now. */
static fallible add_images(struct making *m, const char *text, size_t len)
{
    own(slices) struct slices was = { 0 }, now = { 0 };
    if (m->old && slices_of(m->old->index, m->old->index_len, "manifests", &was) &&
        slices_of(text, len, "manifests", &now))
        return add_changed(m, text, len, &was, &now);
    return add_all(m, text, len);
}

fallible image_rows_make(struct layout *l, const struct image_rows *old, const struct image_same *same,
                         const char *index, size_t index_len, struct str *s, bool *ret_all)
{
    own(making) struct making m = { .l = l, .old = old, .same = *same, .s = s, .all = true };
    TRY(add_images(&m, index, index_len));
    *ret_all = m.all;
    return NULL;
}
