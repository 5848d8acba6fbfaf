// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "image/inside.h"

enum {
    PAGES_MAX = 100,
    REFERRERS_MAX = 10000,
    RACES_MAX = 5, /* times that somebody else may write the list between our reading and writing */
};

char *registry_referrers_tag(const char *digest)
{
    const char *colon = strchr(digest, ':');
    size_t algorithm = colon ? (size_t)(colon - digest) : strlen(digest);
    own_mem char *tag =
        mem_printf("%.*s-%.64s", (int)(algorithm < 32 ? algorithm : 32), digest, colon ? colon + 1 : "");
    for (char *p = tag; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *p))
            *p = '-';
    return take(tag);
}

/* ---- reading ---- */

static json_t *empty_index(void)
{
    return json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", MEDIA_OCI_INDEX, "manifests");
}

/* *ret NULL: there is no such tag. */
static fallible read_tag(struct registry *r, const char *digest, json_t **ret)
{
    own(registry_manifest) struct registry_manifest *m = NULL;
    own_mem char *tag = registry_referrers_tag(digest);
    err *e = registry_get_manifest(r, tag, &m);
    *ret = NULL;
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "nobody has referred to it");
        return NULL;
    }
    TRY(e);
    if (strcmp(m->media_type, MEDIA_OCI_INDEX) != 0)
        return err_new(ERR_CORRUPT, "tag '%s' is no index", tag);
    return json_parse("index", m->text, m->len, ret);
}

static void add_all(json_t *index, json_t *page)
{
    json_t *all = json_object_get(index, "manifests"), *item;
    size_t i;
    json_array_foreach (json_object_get(page, "manifests"), i, item)
        if (json_array_size(all) < REFERRERS_MAX)
            json_array_append(all, item);
}

/* *ret_there false: the registry has no such API. */
static fallible read_pages(struct registry *r, const char *digest, const char *artifact_type, json_t *index,
                           bool *ret_there)
{
    own_mem char *type = artifact_type ? http_escape(artifact_type) : NULL;
    own_mem char *what = mem_printf("%s%s%s", digest, type ? "?artifactType=" : "", type ? type : "");
    own_mem char *target = registry_target(r->server, "referrers", what);
    *ret_there = false;
    for (int page = 0; target && page < PAGES_MAX; page++) {
        own(http_answer) struct http_answer *a = NULL;
        own_json json_t *doc = NULL;
        struct http_request request = { .accept = MEDIA_OCI_INDEX, .body_max = REGISTRY_MANIFEST_MAX };
        TRY(server_try(r->server, target, &request, &a));
        if (!page && (a->status == 404 || a->status == 400 || a->status == 405))
            return NULL;
        if (a->status != 200)
            return server_error(r->server, a);
        TRY(json_parse("list of referrers", a->body.text ? a->body.text : "", a->body.len, &doc));
        *ret_there = json_array_size(json_object_get(doc, "manifests")) || json_object_get(doc, "manifests");
        add_all(index, doc);
        free(target);
        target = registry_next_page(r->server, a);
    }
    return NULL;
}

static void keep_only(json_t *index, const char *artifact_type)
{
    json_t *all = json_object_get(index, "manifests");
    for (size_t i = json_array_size(all); artifact_type && i-- > 0;) {
        const char *type = json_string_value(json_object_get(json_array_get(all, i), "artifactType"));
        if (!str_eq(type, artifact_type))
            json_array_remove(all, i);
    }
}

fallible registry_list_referrers(struct registry *r, const char *digest, const char *artifact_type,
                                 struct oci_index **ret)
{
    own_json json_t *index = empty_index();
    bool there = false;
    if (!digest_valid(digest))
        return err_new(ERR_INVALID, "'%.200s' is no digest", digest);
    TRY(read_pages(r, digest, artifact_type, index, &there));
    if (!there) {
        own_json json_t *tagged = NULL;
        TRY(read_tag(r, digest, &tagged));
        add_all(index, tagged);
    }
    keep_only(index, artifact_type); /* not every registry does that for us */
    own_mem char *text = json_text(index, BIND_COMPACT);
    TRY_AS(oci_index_read(text, strlen(text), ret), "registry '%s': list of referrers", r->server->registry);
    return NULL;
}

/* ---- writing ---- */

static bool has_digest(json_t *index, const char *digest)
{
    json_t *item;
    size_t i;
    json_array_foreach (json_object_get(index, "manifests"), i, item)
        if (str_eq(json_string_value(json_object_get(item, "digest")), digest))
            return true;
    return false;
}

static json_t *descriptor_of(json_t *manifest, const char *digest, const char *media_type, size_t len)
{
    json_t *type = json_object_get(manifest, "artifactType"), *annotations = json_object_get(manifest, "annotations");
    if (!json_string_value(type) || !*json_string_value(type))
        type = json_object_get(json_object_get(manifest, "config"), "mediaType");
    json_t *d = json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest, "size", (json_int_t)len);
    if (type)
        json_object_set(d, "artifactType", type);
    if (annotations)
        json_object_set(d, "annotations", annotations);
    return d;
}

/* What somebody else writes in the same moment may undo it: it is looked at again. */
static fallible add_to_tag(struct registry *r, const char *subject, json_t *descriptor)
{
    const char *digest = json_string_value(json_object_get(descriptor, "digest"));
    own_mem char *tag = registry_referrers_tag(subject);
    for (int i = 0; i < RACES_MAX; i++) {
        own_json json_t *index = NULL;
        bool unused = false;
        TRY(read_tag(r, subject, &index));
        if (index && has_digest(index, digest))
            return NULL;
        if (!index)
            index = empty_index();
        json_array_append(json_object_get(index, "manifests"), descriptor);
        own_mem char *text = json_text(index, BIND_COMPACT);
        TRY(registry_put_manifest_alone(r, tag, MEDIA_OCI_INDEX, text, strlen(text), &unused));
    }
    return err_new(ERR_CONFLICT, "others change tag '%s' all the time", tag);
}

fallible registry_add_referrer(struct registry *r, const char *digest, const char *media_type, const char *text,
                               size_t len)
{
    own_json json_t *doc = json_loadb(text, len, 0, NULL);
    const char *subject = json_string_value(json_object_get(json_object_get(doc, "subject"), "digest"));
    if (!digest_valid(subject))
        return NULL;
    own_json json_t *descriptor = descriptor_of(doc, digest, media_type, len);
    return add_to_tag(r, subject, descriptor);
}
