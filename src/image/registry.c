// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/registry.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
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

static fallible add_server(struct registry *r, const struct registry_options *options,
                           const struct registry_endpoint *endpoint)
{
    const struct registry_place *place = endpoint->place;
    own_mem char *scope = mem_printf("repository:%s:%s", place->repository, actions_of(options->access));
    struct server_options server = {
        .registry = place->registry,
        .repository = place->repository,
        .scope = scope,
        .insecure = options->insecure || place->insecure || registry_named_insecure(place->registry),
        .stall_ns = options->stall_ns,
        .attempts = options->attempts,
        .retry_delay_ns = options->retry_delay_ns,
        .auth = endpoint->auth,
        .certs = endpoint->certs,
    };
    if (r->n == REGISTRY_SERVERS_MAX)
        return err_new(ERR_EXHAUSTED, "more than %d mirrors", REGISTRY_SERVERS_MAX - 1);
    r->uses[r->n] = place->use;
    TRY(server_open(&server, &r->servers[r->n]));
    r->server = r->servers[r->n++];
    return NULL;
}

fallible registry_open(const struct ref *ref, const struct registry_options *options, struct registry **ret)
{
    own(registry) struct registry *r = mem_zalloc(sizeof *r);
    const struct registry_place itself = { .registry = ref->registry, .repository = ref->repository };
    const struct registry_endpoint endpoint = { .place = &itself, .auth = options->auth };
    for (size_t i = 0; i < options->endpoints_n; i++)
        TRY(add_server(r, options, &options->endpoints[i]));
    if (!r->n)
        TRY(add_server(r, options, &endpoint));
    *ret = take(r);
    return NULL;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        server_free(r->servers[i]);
    free(r);
}

fallible registry_try_each(struct registry *r, bool by_digest, err *(*ask)(struct registry *r, void *ctx), void *ctx)
{
    struct server *itself = r->servers[r->n - 1];
    for (size_t i = 0; r->server == itself && i + 1 < r->n; i++) {
        if (r->uses[i] == (by_digest ? PLACE_FOR_TAGS : PLACE_FOR_DIGESTS))
            continue;
        r->server = r->servers[i];
        err *e = ask(r, ctx);
        if (!e)
            return NULL;
        log_warn("mirror '%s': %s", r->server->registry, err_text(e));
        err_ignore(e, "the next one may have it");
        r->server = itself;
    }
    return ask(r, ctx);
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

struct question {
    const char *tag_or_digest;
    struct registry_manifest **ret;
};

static err *ask_for_manifest(struct registry *r, void *ctx)
{
    const struct question *q = ctx;
    own(http_answer) struct http_answer *a = NULL;
    own(registry_manifest) struct registry_manifest *m = mem_zalloc(sizeof *m);
    own_mem char *target = registry_target(r->server, "manifests", q->tag_or_digest);
    TRY(server_get(r->server, target, ACCEPT_MANIFESTS, REGISTRY_MANIFEST_MAX, &a));
    TRY_AS(find_media_type(a, &m->media_type), "registry '%s'", r->server->registry);
    TRY_AS(check_manifest_digest(a, q->tag_or_digest, &m->digest), "registry '%s'", r->server->registry);
    m->len = a->body.len;
    m->text = str_take(&a->body);
    *q->ret = take(m);
    return NULL;
}

fallible registry_get_manifest(struct registry *r, const char *tag_or_digest, struct registry_manifest **ret)
{
    struct question q = { tag_or_digest, ret };
    return registry_try_each(r, digest_valid(tag_or_digest), ask_for_manifest, &q);
}

struct head {
    const char *tag_or_digest;
    char **ret_digest, **ret_media_type;
    int64_t *ret_size;
};

static err *ask_for_head(struct registry *r, void *ctx)
{
    const struct head *h = ctx;
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *target = registry_target(r->server, "manifests", h->tag_or_digest);
    struct http_request request = { .method = HTTP_HEAD, .accept = ACCEPT_MANIFESTS, .body_max = SERVER_SMALL_MAX };
    TRY(server_try(r->server, target, &request, &a));
    if (a->status == 200 && digest_valid(a->docker_content_digest) && a->content_length >= 0) {
        *h->ret_digest = mem_strdup(a->docker_content_digest);
        *h->ret_size = a->content_length;
        if (h->ret_media_type)
            *h->ret_media_type = plain_type(a->content_type);
        return NULL;
    }
    if (a->status != 200 && a->status != 405 && a->status != 404)
        return server_error(r->server, a);
    /* The whole manifest also says better than HEAD why it is not there. */
    own(registry_manifest) struct registry_manifest *m = NULL;
    TRY(ask_for_manifest(r, &(struct question){ h->tag_or_digest, &m }));
    *h->ret_size = (int64_t)m->len;
    *h->ret_digest = take(m->digest);
    if (h->ret_media_type)
        *h->ret_media_type = take(m->media_type);
    return NULL;
}

fallible registry_head_manifest(struct registry *r, const char *tag_or_digest, char **ret_digest, char **ret_media_type,
                                int64_t *ret_size)
{
    struct head h = { tag_or_digest, ret_digest, ret_media_type, ret_size };
    return registry_try_each(r, digest_valid(tag_or_digest), ask_for_head, &h);
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
        .attempts = options->attempts,
        .retry_delay_ns = options->retry_delay_ns,
        .auth = options->auth,
        .certs = options->endpoints_n ? options->endpoints[options->endpoints_n - 1].certs : NULL,
    };
    if (options->endpoints_n && options->endpoints[options->endpoints_n - 1].place->insecure)
        server.insecure = true;
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
