// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/images_filter.h"

#include <fnmatch.h>
#include <string.h>

#include "base/parse.h"
#include "engine/image_remove.h"
#include "image/ref.h"

int64_t images_created_ns(const char *text)
{
    int64_t created = 0;
    err *e = text && *text ? parse_time_ns(text, &created) : NULL;
    err_ignore(e, "a time that cannot be read is none");
    return created;
}

/* As docker's: '*' and '?' stand for no '/'. */
static bool glob(const char *pattern, const char *name)
{
    return fnmatch(pattern, name, FNM_PATHNAME) == 0;
}

bool images_filter_reference(const struct image_row *image, const char *pattern)
{
    own(ref) struct ref *r = NULL;
    err *e = image->name ? ref_parse(image->name, &r) : NULL;
    if (e || !r) {
        err_ignore(e, "no reference, no match");
        return false;
    }
    own_mem char *familiar = ref_familiar(r);
    if (glob(pattern, familiar))
        return true;
    if (r->tag)
        familiar[strlen(familiar) - strlen(r->tag) - 1] = '\0';
    return glob(pattern, familiar);
}

/* ---- reading ---- */

static fallible time_of(struct engine *engine, const char *what, struct opt_i64 *ret)
{
    own(image) struct image *image = NULL;
    struct layout *layout;
    TRY(engine_layout(engine, &layout));
    TRY(image_find_here(layout, what, NULL, &image));
    *ret = (struct opt_i64){ true, images_created_ns(image->config->created) };
    return NULL;
}

static fallible read_bool(const char *value, struct opt_bool *ret)
{
    ret->set = true;
    return parse_bool(value, &ret->v);
}

static fallible read_value(struct engine *engine, const char *key, const char *value, struct images_filter *f)
{
    struct opt_bool none = { 0 };
    const struct {
        const char *key;
        struct strv *list;
        struct opt_bool *flag;
        struct opt_i64 *image;
    } known[] = {
        { "reference", &f->references, NULL, NULL },  { "label", &f->labels, NULL, NULL },
        { "label!", &f->no_labels, NULL, NULL },      { "id", &f->ids, NULL, NULL },
        { "digest", &f->digests, NULL, NULL },        { "dangling", NULL, &f->dangling, NULL },
        { "containers", NULL, &f->containers, NULL }, { "manifest", NULL, &f->manifest, NULL },
        { "intermediate", NULL, &none, NULL },        { "readonly", NULL, &none, NULL },
        { "before", NULL, NULL, &f->before },         { "since", NULL, NULL, &f->since },
        { "after", NULL, NULL, &f->since },
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(key, known[i].key) != 0)
            continue;
        if (known[i].image)
            return time_of(engine, value, known[i].image);
        if (known[i].list)
            strv_add(known[i].list, value);
        else
            TRY(read_bool(value, known[i].flag));
        if (none.set && none.v)
            f->never = none;
        return NULL;
    }
    if (strcmp(key, "until") == 0) {
        f->until.set = true;
        return parse_when_ns(value, &f->until.v);
    }
    return err_new(ERR_INVALID, "is none of reference, label, label!, dangling, before, since, until, containers, id, "
                                "digest, manifest, intermediate, readonly");
}

fallible images_filter_read(struct engine *engine, const char *text, struct images_filter *f)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return err_new(ERR_INVALID, "--filter: '%s' is not KEY=VALUE", text);
    own_mem char *key = mem_strndup(text, (size_t)(equals - text));
    TRY_AS(read_value(engine, key, equals + 1, f), "--filter %s", key);
    return NULL;
}

/* ---- asking ---- */

/* filter: KEY or KEY=VALUE */
static bool has_label(const struct image_row *image, const char *filter)
{
    size_t n = strcspn(filter, "=");
    for (size_t i = 0; i < image->labels_n; i++)
        if (strncmp(image->labels[i], filter, n) == 0 && image->labels[i][n] == '=' &&
            (!filter[n] || strcmp(image->labels[i] + n, filter + n) == 0))
            return true;
    return false;
}

static bool labels_fit(const struct image_row *image, const struct images_filter *f)
{
    for (size_t i = 0; i < f->labels.n; i++)
        if (!has_label(image, f->labels.items[i]))
            return false;
    for (size_t i = 0; i < f->no_labels.n; i++)
        if (has_label(image, f->no_labels.items[i]))
            return false;
    return true;
}

/* A digest, whole or its beginning, with "sha256:" or without. */
static bool one_begins(const struct strv *wishes, const char *digest)
{
    for (size_t i = 0; i < wishes->n; i++)
        if (*wishes->items[i] &&
            (str_starts(digest, wishes->items[i]) || str_starts(digest_hex(digest), wishes->items[i])))
            return true;
    return wishes->n == 0;
}

static bool times_fit(const struct image_row *image, const struct images_filter *f)
{
    int64_t created = f->before.set || f->since.set || f->until.set ? images_created_ns(image->created) : 0;
    return !(f->before.set && created >= f->before.v) && !(f->since.set && created <= f->since.v) &&
           !(f->until.set && created >= f->until.v);
}

fallible images_filter_passes(struct engine *engine, const struct image_row *image, const struct images_filter *f,
                              bool *ret_passes)
{
    bool named = f->references.n == 0;
    for (size_t i = 0; !named && i < f->references.n; i++)
        named = images_filter_reference(image, f->references.items[i]);
    *ret_passes = named && !f->never.v && labels_fit(image, f) && one_begins(&f->ids, image->id) &&
                  (one_begins(&f->digests, image->manifest_digest) || one_begins(&f->digests, image->top)) &&
                  times_fit(image, f) && !(f->dangling.set && f->dangling.v != !image->name) &&
                  !(f->manifest.set && f->manifest.v != (strcmp(image->top, image->manifest_digest) != 0));
    if (!*ret_passes || !f->containers.set)
        return NULL;
    own_mem char *user = NULL;
    TRY(image_user(engine, image->id, &user));
    *ret_passes = f->containers.v == (user != NULL);
    return NULL;
}
