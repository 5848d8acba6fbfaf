// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <sys/stat.h>

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
        err *e = image_find_here(l, full, NULL, &found);
        if (e)
            err_ignore(e, "another image, and its own command will say what is wrong with it");
        else if (strcmp(found->id, image->id) == 0)
            add_name(full, d, tags, digests);
    }
    return NULL;
}

/* Of what the image is stored as: its manifest. */
static json_t *descriptor(struct layout *l, const struct image *image)
{
    own_fd int fd = -1;
    struct stat st = { 0 };
    err_ignore(layout_open_blob(l, image->manifest_digest, -1, &fd), "its size is not known then");
    if (fd >= 0 && fstat(fd, &st) < 0)
        st.st_size = 0;
    const char *type = image->manifest->media_type;
    return json_pack("{s:s, s:s, s:I}", "mediaType", type ? type : MEDIA_OCI_MANIFEST, "digest", image->manifest_digest,
                     "size", (json_int_t)st.st_size);
}

/* Directories as docker's overlay2 names them: the topmost layer above, all below it under LowerDir. */
static json_t *graph_driver(struct layout *l, const struct image *image)
{
    own_strv struct strv paths = { 0 };
    own_str struct str lower = { 0 };
    json_t *data = json_object();
    err_ignore(layer_paths(l, image, &paths), "a missing layer has no directory");
    for (size_t i = 1; i < paths.n; i++)
        str_printf(&lower, "%s%s", i > 1 ? ":" : "", paths.items[i]);
    if (lower.len)
        put(data, "LowerDir", text(lower.text));
    if (paths.n)
        put(data, "UpperDir", text(paths.items[0]));
    return json_pack("{s:s, s:o}", "Name", "overlay", "Data", data);
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
    put(o, "Parent", text(""));
    put(o, "Comment", text(c->history_n ? c->history[c->history_n - 1].comment : ""));
    put(o, "Created", text(c->created));
    put(o, "Author", text(c->author));
    put(o, "Architecture", text(c->architecture));
    if (c->variant)
        put(o, "Variant", text(c->variant));
    put(o, "Os", text(c->os));
    if (c->os_version)
        put(o, "OsVersion", text(c->os_version));
    put(o, "Size", json_integer(unpacked));
    put(o, "VirtualSize", json_integer(unpacked));
    put(o, "StoredSize", json_integer(image->size));
    put(o, "ManifestDigest", text(image->manifest_digest));
    put(o, "Descriptor", descriptor(layout, image));
    put(o, "RootFS", json_pack("{s:s, s:o}", "Type", "layers", "Layers", layers));
    put(o, "GraphDriver", graph_driver(layout, image));
    put(o, "Metadata", json_pack("{s:s}", "LastTagTime", "0001-01-01T00:00:00Z")); /* not kept, as docker says it */
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
    json_t *labels = json_loads(v->labels, 0, NULL), *options = json_loads(v->options, 0, NULL), *o = json_object();
    put(o, "CreatedAt", json_string(format_time_ns(v->created_ns, when)));
    put(o, "Driver", text("local"));
    put(o, "Labels", labels ? labels : json_object());
    put(o, "Mountpoint", text(path));
    put(o, "Name", text(v->name));
    put(o, "Options", options ? options : json_object());
    put(o, "Scope", text("local"));
    put(o, "Anonymous", json_boolean(v->anonymous));
    return o;
}

static fallible print_docs(const json_t *docs, const char *format)
{
    if (!format || strcmp(format, "json") == 0) {
        own_mem char *whole = json_dumps(docs, JSON_INDENT(4));
        printf("%s\n", whole ? whole : "[]");
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(docs); i++) {
        own_str struct str line = { 0 };
        const json_t *doc = json_array_get(docs, i);
        own_json json_t *zeros = inspect_zeros(doc);
        TRY_AS(template_render_with(format, doc, zeros, TEMPLATE_VALUES, &line), "--format");
        printf("%s\n", line.text ? line.text : "");
    }
    return NULL;
}

fallible inspect_print(const json_t *docs, const char *format, err *take_missing)
{
    err *e = print_docs(docs, format);
    if (!take_missing)
        return e;
    err_ignore(e, "the first error is what went wrong");
    return take_missing;
}
