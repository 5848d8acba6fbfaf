// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "codec/digest.h"
#include "transport/transport.h"

/* The document's own word counts; else what it was said to be; else what it has in it. */
static fallible find_media_type(const char *text, size_t len, const char *said, char **ret)
{
    own_json json_t *doc = NULL;
    TRY(json_parse("manifest", text, len, &doc));
    const char *own_word = json_string_value(json_object_get(doc, "mediaType"));
    const char *type = own_word ? own_word : said;
    if (!json_is_object(doc))
        return err_new(ERR_INVALID, "manifest: expected an object");
    if (json_integer_value(json_object_get(doc, "schemaVersion")) == 1)
        return err_new(ERR_UNSUPPORTED, "the image is in Docker's old schema 1, which nobody should use any more");
    if (!media_is_index(type) && !media_is_manifest(type) && !own_word)
        type = json_object_get(doc, "manifests") ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;
    if (!media_is_index(type) && !media_is_manifest(type))
        return err_new(ERR_INVALID, "no image manifest but '%.100s'", type);
    *ret = mem_strdup(type);
    return NULL;
}

static fallible hash_as(const char *like, const char *text, size_t len, char **ret)
{
    own(digest) struct digest *d = NULL;
    TRY(digest_new(like, &d));
    digest_add(d, text, len);
    *ret = digest_end(d);
    return NULL;
}

fallible doc_make(const char *text, size_t len, const char *media_type, const char *digest,
                  struct registry_manifest **ret)
{
    own(registry_manifest) struct registry_manifest *m = mem_zalloc(sizeof *m);
    TRY(hash_as(digest, text, len, &m->digest));
    if (digest && strcmp(m->digest, digest) != 0)
        return err_new(ERR_CORRUPT, "the manifest given for digest %s has digest %s", digest, m->digest);
    TRY(find_media_type(text, len, media_type, &m->media_type));
    m->text = mem_strndup(text, len);
    m->len = len;
    *ret = take(m);
    return NULL;
}

struct registry_manifest *doc_copy(const struct registry_manifest *doc)
{
    struct registry_manifest *m = mem_zalloc(sizeof *m);
    m->text = mem_strndup(doc->text, doc->len);
    m->len = doc->len;
    m->digest = mem_strdup(doc->digest);
    m->media_type = mem_strdup(doc->media_type);
    return m;
}

struct oci_descriptor doc_descriptor(const struct registry_manifest *doc)
{
    return (struct oci_descriptor){ .media_type = doc->media_type, .digest = doc->digest, .size = (int64_t)doc->len };
}

static bool listed(const struct oci_descriptor *const *list, size_t n, const struct oci_descriptor *d)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i]->digest, d->digest) == 0)
            return true;
    return false;
}

fallible doc_blobs(const struct oci_manifest *m, const struct oci_descriptor ***ret, size_t *ret_n)
{
    const struct oci_descriptor **list = mem_array(NULL, m->layers_n + 1, sizeof *list);
    size_t n = 0;
    list[n++] = m->config;
    for (size_t i = 0; i < m->layers_n; i++)
        if (!listed(list, n, &m->layers[i]))
            list[n++] = &m->layers[i];
    *ret = list;
    *ret_n = n;
    return NULL;
}

void descriptor_copy_free(struct oci_descriptor *d)
{
    bind_free(&oci_descriptor_type, d);
}

struct oci_descriptor *descriptor_copy(const struct oci_descriptor *d)
{
    own_json json_t *doc = bind_write_json(&oci_descriptor_type, d);
    struct oci_descriptor *copy = NULL;
    err_ignore(bind_read_json(&oci_descriptor_type, doc, (void **)&copy), "what was just written can be read");
    return copy;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    free(s->scope);
    free(s->name);
    s->scope = s->name = NULL;
    s->ops->free(s);
}

void sink_free(struct sink *s)
{
    if (!s)
        return;
    free(s->name);
    s->name = NULL;
    s->ops->free(s);
}
