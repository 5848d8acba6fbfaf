// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/format.h"
#include "cli/inspect_docs.h"
#include "engine/volume.h"
#include "image/ref.h"
#include "layers/layer.h"

static void put(json_t *o, const char *key, json_t *take_value)
{
    (void)json_object_set_new(o, key, take_value);
}

static json_t *text(const char *s)
{
    return json_string(s ? s : "");
}

static void add_name(const char *full, const struct oci_descriptor *d, json_t *tags, json_t *digests)
{
    own(ref) struct ref *r = NULL;
    err *e = ref_parse(full, &r);
    if (e) {
        err_ignore(e, "a name that is no reference is shown nowhere");
        return;
    }
    own_mem char *familiar = ref_familiar(r);
    if (!r->digest)
        (void)json_array_append_new(tags, json_string(familiar));
    own_mem char *tag_cut =
        r->tag ? mem_strndup(familiar, strlen(familiar) - strlen(r->tag) - 1) : mem_strdup(familiar);
    if (r->digest)
        (void)json_array_append_new(digests, json_string(familiar));
    else
        (void)json_array_append_new(digests, json_sprintf("%s@%s", tag_cut, d->digest));
}

/* Every name that leads to this image. */
static fallible names_of(struct layout *l, const struct image *image, json_t *tags, json_t *digests)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        const char *full = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
        own(image) struct image *found = NULL;
        if (!full)
            continue;
        err *e = image_find(l, full, NULL, &found);
        if (e)
            err_ignore(e, "another image, and its own command will say what is wrong with it");
        else if (strcmp(found->id, image->id) == 0)
            add_name(full, d, tags, digests);
    }
    return NULL;
}

fallible inspect_image(struct layout *layout, const struct image *image, json_t **ret)
{
    const struct oci_image_config *c = image->config;
    own_json json_t *document = NULL;
    json_t *layers = json_array(), *tags = json_array(), *digests = json_array();
    int64_t unpacked = 0;
    for (size_t i = 0; i < c->rootfs->diff_ids.n; i++) {
        int64_t n = 0;
        (void)json_array_append_new(layers, json_string(c->rootfs->diff_ids.items[i]));
        err_ignore(layer_size(layout, c->rootfs->diff_ids.items[i], &n), "a missing layer counts nothing");
        unpacked += n;
    }
    json_t *o = json_object();
    err *e = names_of(layout, image, tags, digests);
    put(o, "Id", text(image->id));
    put(o, "RepoTags", tags);
    put(o, "RepoDigests", digests);
    put(o, "Created", text(c->created));
    put(o, "Author", text(c->author));
    put(o, "Architecture", text(c->architecture));
    put(o, "Os", text(c->os));
    put(o, "Size", json_integer(unpacked));
    put(o, "StoredSize", json_integer(image->size));
    put(o, "ManifestDigest", text(image->manifest_digest));
    put(o, "RootFS", json_pack("{s:s, s:o}", "Type", "layers", "Layers", layers));
    put(o, "GraphDriver", json_pack("{s:s}", "Name", "overlay"));
    if (!e)
        e = json_parse("image config", image->config_text, strlen(image->config_text), &document);
    if (!e) {
        json_t *config = json_object_get(document, "config");
        put(o, "Config", config ? json_incref(config) : json_object());
    }
    if (e) {
        json_decref(o);
        return e;
    }
    *ret = o;
    return NULL;
}

json_t *inspect_volume(const struct engine *e, const struct db_volume *v)
{
    char when[40];
    own_mem char *path = volume_path(e, v->name);
    json_t *labels = json_loads(v->labels, 0, NULL), *o = json_object();
    put(o, "CreatedAt", json_string(format_time_ns(v->created_ns, when)));
    put(o, "Driver", text("local"));
    put(o, "Labels", labels ? labels : json_object());
    put(o, "Mountpoint", text(path));
    put(o, "Name", text(v->name));
    put(o, "Options", json_object());
    put(o, "Scope", text("local"));
    put(o, "Anonymous", json_boolean(v->anonymous));
    return o;
}

fallible inspect_print(const json_t *docs, const char *format)
{
    if (!format || strcmp(format, "json") == 0) {
        own_mem char *whole = json_dumps(docs, JSON_INDENT(4));
        printf("%s\n", whole ? whole : "[]");
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(docs); i++) {
        own_str struct str line = { 0 };
        TRY(format_render(format, json_array_get(docs, i), &line));
        printf("%s\n", line.text ? line.text : "");
    }
    return NULL;
}
