// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/registry.h"

#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "codec/digest.h"
#include "image/inside.h"

#define ACCEPT_MANIFESTS MEDIA_OCI_INDEX ", " MEDIA_DOCKER_LIST ", " MEDIA_OCI_MANIFEST ", " MEDIA_DOCKER_MANIFEST

/* ---- who is asked ---- */

static char *host_of(const char *registry)
{
    if (registry[0] == '[')
        return mem_strndup(registry + 1, strcspn(registry + 1, "]"));
    return mem_strndup(registry, strcspn(registry, ":"));
}

bool registry_named_insecure(const char *registry)
{
    const char *list = getenv("HUSK_INSECURE_REGISTRIES");
    own_strv struct strv names = { 0 };
    own_mem char *host = host_of(registry);
    strv_split(&names, list ? list : "", ',');
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.items[i] + strspn(names.items[i], " ");
        if (*name && (strcasecmp(name, registry) == 0 || strcasecmp(name, host) == 0))
            return true;
    }
    return false;
}

static const char *actions_of(enum registry_access access)
{
    switch (access) {
    case REGISTRY_PULL:
        return "pull";
    case REGISTRY_PUSH:
        return "pull,push";
    case REGISTRY_DELETE:
        return "pull,push,delete";
    }
    return "";
}

fallible registry_open(const struct ref *ref, const struct registry_options *options, struct registry **ret)
{
    own(registry) struct registry *r = mem_zalloc(sizeof *r);
    own_mem char *scope = mem_printf("repository:%s:%s", ref->repository, actions_of(options->access));
    struct server_options server = {
        .registry = ref->registry,
        .repository = ref->repository,
        .scope = scope,
        .insecure = options->insecure || registry_named_insecure(ref->registry),
        .stall_ns = options->stall_ns,
        .auth = options->auth,
    };
    TRY(server_open(&server, &r->server));
    *ret = take(r);
    return NULL;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    server_free(r->server);
    free(r);
}

char *registry_target(const struct server *s, const char *kind, const char *what)
{
    return mem_printf("%s/%s/%s", s->repository, kind, what);
}

/* ---- manifests ---- */

void registry_manifest_free(struct registry_manifest *m)
{
    if (!m)
        return;
    free(m->text);
    free(m->digest);
    free(m->media_type);
    free(m);
}

static char *plain_type(const char *content_type)
{
    return mem_strndup(content_type ? content_type : "", content_type ? strcspn(content_type, "; \t") : 0);
}

/* The document's own word counts; the header's, where it has none. */
static fallible find_media_type(const struct http_answer *a, char **ret)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): server_get() gives an answer, or an error
    own_mem char *header = plain_type(a->content_type);
    own_json json_t *doc = json_loadb(a->body.text ? a->body.text : "", a->body.len, JSON_REJECT_DUPLICATES, NULL);
    const char *said = json_string_value(json_object_get(doc, "mediaType"));
    const char *type = said ? said : header;
    own_mem char *shown = http_printable(type, 100);
    if (!json_is_object(doc))
        return err_new(ERR_CORRUPT, "what it sends as '%s' is no image manifest: it is not JSON", shown);
    if (json_integer_value(json_object_get(doc, "schemaVersion")) == 1)
        return err_new(ERR_UNSUPPORTED, "the image is in Docker's old schema 1, which nobody should use any more");
    if (!media_is_index(type) && !media_is_manifest(type) && !said) {
        if (json_object_get(doc, "manifests"))
            type = MEDIA_OCI_INDEX;
        else if (json_object_get(doc, "config"))
            type = MEDIA_OCI_MANIFEST;
    }
    if (!media_is_index(type) && !media_is_manifest(type))
        return err_new(ERR_CORRUPT, "what it sends is no image manifest but '%s'", shown);
    if ((media_is_index(header) || media_is_manifest(header)) && media_is_index(header) != media_is_index(type))
        return err_new(ERR_CORRUPT, "what it sends as '%s' calls itself '%s'", header, shown);
    *ret = mem_strdup(type);
    return NULL;
}

static fallible digest_as(const char *like, const struct str *body, char **ret)
{
    own(digest) struct digest *d = NULL;
    TRY(digest_new(like, &d));
    digest_add(d, body->text, body->len);
    *ret = digest_end(d);
    return NULL;
}

static fallible check_manifest_digest(const struct http_answer *a, const char *asked, char **ret)
{
    const char *promised = a->docker_content_digest;
    own_mem char *is = NULL;
    own_mem char *also = NULL;
    TRY(digest_as(digest_valid(asked) ? asked : NULL, &a->body, &is));
    if (digest_valid(asked) && strcmp(is, asked) != 0)
        return err_new(ERR_CORRUPT, "the manifest sent for digest %s has digest %s", asked, is);
    if (digest_valid(promised)) {
        TRY(digest_as(promised, &a->body, &also));
        if (strcmp(also, promised) != 0)
            return err_new(ERR_CORRUPT, "the manifest sent as %s has digest %s", promised, also);
    }
    *ret = take(is);
    return NULL;
}

fallible registry_get_manifest(struct registry *r, const char *tag_or_digest, struct registry_manifest **ret)
{
    own(http_answer) struct http_answer *a = NULL;
    own(registry_manifest) struct registry_manifest *m = mem_zalloc(sizeof *m);
    own_mem char *target = registry_target(r->server, "manifests", tag_or_digest);
    TRY(server_get(r->server, target, ACCEPT_MANIFESTS, REGISTRY_MANIFEST_MAX, &a));
    TRY_AS(find_media_type(a, &m->media_type), "registry '%s'", r->server->registry);
    TRY_AS(check_manifest_digest(a, tag_or_digest, &m->digest), "registry '%s'", r->server->registry);
    m->len = a->body.len;
    m->text = str_take(&a->body);
    *ret = take(m);
    return NULL;
}

fallible registry_head_manifest(struct registry *r, const char *tag_or_digest, char **ret_digest, char **ret_media_type,
                                int64_t *ret_size)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *target = registry_target(r->server, "manifests", tag_or_digest);
    struct http_request request = { .method = HTTP_HEAD, .accept = ACCEPT_MANIFESTS, .body_max = SERVER_SMALL_MAX };
    TRY(server_try(r->server, target, &request, &a));
    bool said = a->status == 200 && digest_valid(a->docker_content_digest) && a->content_length >= 0;
    if (said) {
        *ret_digest = mem_strdup(a->docker_content_digest);
        *ret_size = a->content_length;
        if (ret_media_type)
            *ret_media_type = plain_type(a->content_type);
        return NULL;
    }
    if (a->status != 200 && a->status != 405 && a->status != 404)
        return server_error(r->server, a);
    own(registry_manifest) struct registry_manifest *m = NULL; /* also says better than HEAD why it is not there */
    TRY(registry_get_manifest(r, tag_or_digest, &m));
    *ret_size = (int64_t)m->len;
    *ret_digest = take(m->digest);
    if (ret_media_type)
        *ret_media_type = take(m->media_type);
    return NULL;
}

/* ---- login ---- */

fallible registry_login(const char *registry, const struct registry_options *options, char **ret_identity)
{
    own(server) struct server *s = NULL;
    own(http_answer) struct http_answer *a = NULL;
    struct server_options server = {
        .registry = registry,
        .repository = "",
        .scope = "",
        .insecure = options->insecure || registry_named_insecure(registry),
        .stall_ns = options->stall_ns,
        .auth = options->auth,
    };
    struct http_request request = { .body_max = SERVER_SMALL_MAX };
    TRY(server_open(&server, &s));
    s->wants_identity = true;
    TRY(server_try(s, "", &request, &a));
    if (a->status == 401)
        return err_new(ERR_UNAUTHENTICATED, "registry '%s' refuses the credentials", registry);
    if (a->status != 200)
        return server_error(s, a);
    *ret_identity = take(s->identity);
    return NULL;
}
