// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/share.h"

#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "build/build_parts.h"
#include "codec/digest.h"
#include "engine/build_cache.h"
#include "engine/container.h"
#include "engine/paths.h"
#include "image/blob.h"
#include "layers/layer.h"

/* ---- words ---- */

static void set(char **slot, const char *value)
{
    free(*slot);
    *slot = mem_strdup(value);
}

static fallible must_be(const char *option, const char *text, const char *key, const char *value, const char *only)
{
    return strcmp(value, only) == 0
               ? NULL
               : err_new(ERR_UNSUPPORTED, "%s '%s': %s=%s: husk's cache is %s=%s", option, text, key, value, key, only);
}

static fallible set_key(struct share *s, const char *option, const char *text, const char *key, const char *value)
{
    if (strcmp(key, "type") == 0) {
        static const char *const kinds[] = { "registry", "local", "inline" };
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
            if (strcmp(kinds[i], value) == 0) {
                s->kind = (enum share_kind)i;
                return NULL;
            }
        return err_new(ERR_UNSUPPORTED, "%s '%s': unknown type '%s': expected registry, local or inline", option, text,
                       value);
    }
    if (strcmp(key, "ref") == 0 || strcmp(key, "src") == 0 || strcmp(key, "dest") == 0) {
        set(&s->place, value);
    } else if (strcmp(key, "tag") == 0) {
        set(&s->tag, value);
    } else if (strcmp(key, "mode") == 0) {
        if (strcmp(value, "min") != 0 && strcmp(value, "max") != 0)
            return err_new(ERR_INVALID, "%s '%s': mode=%s: expected min or max", option, text, value);
        s->all = strcmp(value, "max") == 0;
    } else if (strcmp(key, "ignore-error") == 0) {
        TRY_AS(parse_bool(value, &s->ignore_error), "%s '%s': ignore-error", option, text);
    } else if (strcmp(key, "image-manifest") == 0 || strcmp(key, "oci-mediatypes") == 0) {
        TRY(must_be(option, text, key, value, "true"));
    } else if (strcmp(key, "compression") == 0) {
        TRY(must_be(option, text, key, value, "zstd"));
    } else {
        return err_new(ERR_INVALID,
                       "%s '%s': unknown key '%s': expected type, ref, src, dest, tag, mode, ignore-error, "
                       "compression, image-manifest or oci-mediatypes",
                       option, text, key);
    }
    return NULL;
}

static fallible parse_one(const char *option, const char *text, struct share *s)
{
    own_strv struct strv parts = { 0 };
    set(&s->tag, "latest");
    if (!strchr(text, '=')) {
        if (strcmp(text, "inline") == 0)
            s->kind = SHARE_INLINE;
        else
            set(&s->place, text); /* docker's short word for a registry's image */
    } else {
        strv_split(&parts, text, ',');
    }
    for (size_t i = 0; i < parts.n; i++) {
        own_mem char *key = mem_strndup(parts.items[i], strcspn(parts.items[i], "="));
        const char *value = parts.items[i] + strlen(key);
        TRY(set_key(s, option, text, key, *value ? value + 1 : ""));
    }
    if (s->kind != SHARE_INLINE && (!s->place || !*s->place))
        return err_new(ERR_INVALID, "%s '%s': expected type=registry,ref=IMAGE or type=local,%s=DIRECTORY", option,
                       text, strcmp(option, "--cache-to") == 0 ? "dest" : "src");
    if (s->kind == SHARE_INLINE && strcmp(option, "--cache-from") == 0)
        return err_new(ERR_INVALID, "%s '%s': a cache inside an image is taken with type=registry,ref=IMAGE", option,
                       text);
    return NULL;
}

fallible share_parse(const char *option, const struct strv *texts, struct share **ret, size_t *ret_n)
{
    struct share *items = mem_zalloc((texts->n + 1) * sizeof *items);
    err *e = NULL;
    for (size_t i = 0; i < texts->n && !e; i++)
        e = parse_one(option, texts->items[i], &items[i]);
    if (e) {
        share_clear(items, texts->n);
        return e;
    }
    *ret = items;
    *ret_n = texts->n;
    return NULL;
}

void share_clear(struct share *items, size_t n)
{
    for (size_t i = 0; items && i < n; i++) {
        free(items[i].place);
        free(items[i].tag);
    }
    free(items);
}

/* ---- an image for the time of a copy ---- */

/* Of this store, for a moment; a function of the place, so that what a killed build left is the next one's. */
static char *name_of(const struct share *s)
{
    own_mem char *text = mem_printf("%d %s %s", (int)s->kind, s->place, s->tag),
                 *digest = digest_of(text, strlen(text));
    return mem_printf("localhost/husk-build-cache:%.12s", digest_hex(digest));
}

static fallible place_of(const struct share *s, char **ret)
{
    own_mem char *absolute = NULL;
    if (s->kind == SHARE_REGISTRY) {
        *ret = mem_printf("docker://%s", s->place);
        return NULL;
    }
    TRY(paths_absolute(s->place, &absolute));
    *ret = mem_printf("oci:%s:%s", absolute, s->tag);
    return NULL;
}

static fallible copy_image(const char *from, const char *to)
{
    return image_program_run((const char *const[]){ "copy", "--quiet", from, to, NULL });
}

/* ---- taking ---- */

static bool is_key(const char *text)
{
    return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* Strangers' bytes: a record counts when the image has its layer. */
static bool is_sound(const struct oci_image_config *config, const struct build_entry *e)
{
    if (e->empty)
        return true;
    return e->diff_id && e->digest && e->media_type && digest_valid(e->diff_id) && digest_valid(e->digest) &&
           strv_has(&config->rootfs->diff_ids, e->diff_id);
}

/* *ret NULL: it is of no use to us. */
static fallible read_record(const struct oci_image_config *config, const json_t *record, struct build_entry **ret)
{
    void *read = NULL;
    const char *key = json_string_value(json_object_get(record, "key"));
    own_mem char *text = json_dumps(record, JSON_COMPACT);
    *ret = NULL;
    if (!text || !is_key(key))
        return NULL;
    err *e = bind_read(&build_entry_type, text, strlen(text), &read);
    if (e) {
        err_ignore(e, "then it is of no use to us");
        return NULL;
    }
    own(build_entry) struct build_entry *entry = read;
    if (is_sound(config, entry))
        *ret = take(entry);
    return NULL;
}

static fallible take_entry(struct build *b, const char *key, const struct build_entry *entry)
{
    if (!entry->empty && !layer_use(b->layout, entry->diff_id))
        return NULL;
    struct build_cached cached = { .layer = { .diff_id = entry->diff_id,
                                              .digest = entry->digest,
                                              .media_type = entry->media_type,
                                              .size = entry->size,
                                              .tar_size = entry->tar_size,
                                              .empty = entry->empty },
                                   .newest_s = entry->newest,
                                   .what = entry->what };
    return build_cache_put(&b->cache, key, &cached);
}

/* from: a registry's cache, whose layers may not be here yet; NULL: they are. */
static fallible take_records(struct build *b, const struct oci_image_config *config, const char *config_text,
                             const struct share *from)
{
    own_json json_t *doc = json_loads(config_text, 0, NULL);
    const json_t *records = json_object_get(doc, SHARE_MEMBER);
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        const char *key = json_string_value(json_object_get(record, "key"));
        own(build_entry) struct build_entry *entry = NULL;
        TRY(read_record(config, record, &entry));
        if (!entry)
            continue;
        if (!from || entry->empty) {
            TRY(take_entry(b, key, entry));
            continue;
        }
        b->shared = mem_array(b->shared, b->shared_n + 1, sizeof *b->shared);
        b->shared[b->shared_n++] = (struct share_record){ mem_strdup(key), take(entry), from };
    }
    return NULL;
}

/* ---- a registry's ---- */

enum { CONFIG_MAX = 16 << 20, ARGS_MAX = 20 };

/* husk-image build-cache [OPTIONS] IMAGE [DIFFID]; argv has room for ARGS_MAX. */
static void cache_words(const struct build *b, const struct share *s, const char *diff_id, const char **argv)
{
    size_t n = 0;
    argv[n++] = "build-cache";
    n += build_registry_words(b, argv + n);
    argv[n++] = s->place;
    argv[n++] = diff_id;
    argv[n] = NULL;
}

static fallible import_registry(struct build *b, const struct share *s)
{
    own_mem char *program = NULL, *text = NULL;
    own(oci_image_config) struct oci_image_config *config = NULL;
    const char *argv[ARGS_MAX + 1];
    TRY(self_find_program("husk-image", &program));
    argv[0] = program;
    cache_words(b, s, NULL, argv + 1);
    TRY(spawn_output((char *const *)argv, CONFIG_MAX, &text));
    TRY(oci_image_config_read(text, strlen(text), &config));
    return take_records(b, config, text, s);
}

const struct share_record *share_find(const struct build *b, const char *key)
{
    for (size_t i = 0; i < b->shared_n; i++)
        if (str_eq(b->shared[i].key, key))
            return &b->shared[i];
    return NULL;
}

fallible share_fetch(struct build *b, const struct share_record *r, struct build_layer *ret)
{
    const char *args[ARGS_MAX];
    const struct build_entry *e = r->entry;
    cache_words(b, r->from, e->diff_id, args);
    TRY(image_program_run(args));
    if (!layer_use(b->layout, e->diff_id))
        return err_new(ERR_NOT_FOUND, "layer %.19s is no longer there", e->diff_id);
    *ret = (struct build_layer){
        mem_strdup(e->diff_id), mem_strdup(e->digest), mem_strdup(e->media_type), e->size, e->tar_size, false
    };
    return NULL;
}

/* ---- one on disk ---- */

static fallible import_local(struct build *b, const struct share *s)
{
    own_mem char *name = name_of(s), *to = mem_printf("store:%s", name), *from = NULL;
    own(image) struct image *image = NULL;
    TRY(place_of(s, &from));
    TRY(copy_image(from, to));
    err *e = image_find(b->layout, name, NULL, &image);
    if (!e)
        e = take_records(b, image->config, image->config_text, NULL);
    err *removed = layout_remove_name(b->layout, name);
    if (e)
        err_ignore(removed, "the first error is told");
    return e ? e : removed;
}

fallible share_import(struct build *b)
{
    for (size_t i = 0; i < b->imports_n; i++) {
        const struct share *s = &b->imports[i];
        err *e = s->kind == SHARE_REGISTRY ? import_registry(b, s) : import_local(b, s);
        if (!e)
            continue;
        own_mem char *text = mem_printf("warning: --cache-from %s: nothing is taken from there%s%s",
                                        b->imports[i].place, *err_text(e) ? ": " : "", err_text(e));
        err_ignore(e, "the build does it all itself");
        progress_note(b->progress, text);
    }
    return NULL;
}

/* ---- giving ---- */

void share_note(struct build *b, const char *key, const struct build_cached *made, bool target)
{
    struct build_entry entry = { .diff_id = made->layer.diff_id,
                                 .digest = made->layer.digest,
                                 .media_type = made->layer.media_type,
                                 .what = made->what,
                                 .size = made->layer.size,
                                 .tar_size = made->layer.tar_size,
                                 .newest = made->newest_s,
                                 .empty = made->layer.empty };
    if (!b->exports_n)
        return;
    own_mem char *text = bind_write(&build_entry_type, &entry, BIND_COMPACT);
    json_t *record = json_loads(text, 0, NULL);
    json_object_set_new(record, "key", json_string(key));
    json_object_set_new(record, "target", json_boolean(target));
    if (!b->records)
        b->records = json_array();
    json_array_append_new(b->records, record);
}

void share_drop_notes(struct build *b)
{
    json_decref(b->records);
    for (size_t i = 0; i < b->shared_n; i++) {
        free(b->shared[i].key);
        build_entry_free(b->shared[i].entry);
    }
    free(b->shared);
}

bool share_is_inline(const struct build *b)
{
    for (size_t i = 0; i < b->exports_n; i++)
        if (b->exports[i].kind == SHARE_INLINE)
            return true;
    return false;
}

static bool has_layer(const struct build_state *s, const char *diff_id)
{
    for (size_t i = 0; diff_id && i < s->layers_n; i++)
        if (str_eq(s->layers[i].diff_id, diff_id))
            return true;
    return false;
}

fallible share_add_records(const struct build *b, const char *config, const struct build_state *s, char **ret)
{
    own_json json_t *doc = json_loads(config, 0, NULL);
    json_t *mine = json_array();
    for (size_t i = 0; i < json_array_size(b->records); i++) {
        own_json json_t *record = json_deep_copy(json_array_get(b->records, i));
        const char *id = json_string_value(json_object_get(record, "diffId"));
        json_object_del(record, "target");
        if (json_is_true(json_object_get(record, "empty")) || has_layer(s, id))
            json_array_append(mine, record);
    }
    json_object_set_new(doc, SHARE_MEMBER, mine);
    *ret = json_dumps(doc, JSON_COMPACT);
    return *ret ? NULL : err_new(ERR_INTERNAL, "write the cache's records");
}

/* All layers of the records, each once, as a state of which an image is made. */
static fallible state_of(struct build *b, const struct share *s, struct build_state **ret)
{
    own(build_state) struct build_state *state = build_state_scratch(platform_of_host());
    for (size_t i = 0; i < json_array_size(b->records); i++) {
        const json_t *record = json_array_get(b->records, i);
        own_mem char *text = json_dumps(record, JSON_COMPACT);
        void *read = NULL;
        TRY(bind_read(&build_entry_type, text, strlen(text), &read));
        own(build_entry) struct build_entry *e = read;
        if (e->empty || has_layer(state, e->diff_id) || (!s->all && !json_is_true(json_object_get(record, "target"))))
            continue;
        struct build_layer layer = { e->diff_id, e->digest, e->media_type, e->size, e->tar_size, false };
        build_state_add(state, &layer, e->what ? e->what : "", 0);
    }
    *ret = take(state);
    return NULL;
}

static fallible export_one(struct build *b, const struct share *s)
{
    own(build_state) struct build_state *state = NULL;
    own_mem char *name = name_of(s), *from = mem_printf("store:%s", name), *to = NULL, *digest = NULL;
    struct oci_descriptor target = { .media_type = (char *)MEDIA_OCI_MANIFEST };
    TRY(place_of(s, &to));
    TRY(state_of(b, s, &state));
    TRY(build_put_image(b, state, OUTPUT_CACHE, NULL, &digest, &target.size));
    target.digest = digest;
    TRY(layout_set_name(b->layout, name, &target));
    err *e = copy_image(from, to);
    err *removed = layout_remove_name(b->layout, name);
    if (e)
        err_ignore(removed, "the first error is told");
    return e ? e : removed;
}

fallible share_export(struct build *b)
{
    for (size_t i = 0; i < b->exports_n; i++) {
        if (b->exports[i].kind == SHARE_INLINE)
            continue;
        err *e = export_one(b, &b->exports[i]);
        if (e && !b->exports[i].ignore_error)
            return err_wrap(e, "--cache-to %s", b->exports[i].place);
        if (e)
            progress_note(b->progress, "warning: --cache-to: the cache was not given away");
        err_ignore(e, "it was said that this is no error");
    }
    return NULL;
}
