// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/search.h"

#include <string.h>

#include "codec/bind.h"
#include "image/inside.h"

enum { ANSWER_MAX = 4 << 20, PAGES_MAX = 100, TEXT_MAX = 500 };

static const char *text_at(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* What a registry sends is shown to a person: nothing in it may steer a terminal. */
static json_t *shown(const char *text)
{
    own_mem char *plain = http_printable(text, TEXT_MAX);
    return json_string(plain);
}

static void add_row(json_t *rows, const char *name, const json_t *found)
{
    json_t *row = json_object();
    json_object_set_new(row, "Name", shown(name));
    json_object_set_new(row, "Description", shown(text_at(found, "description")));
    json_object_set_new(row, "StarCount", json_integer(json_integer_value(json_object_get(found, "star_count"))));
    json_object_set_new(row, "IsOfficial", json_boolean(json_is_true(json_object_get(found, "is_official"))));
    json_array_append_new(rows, row);
}

/* *ret_there false: it has no such thing. */
static fallible search_v1(struct server *s, const char *base, const char *term, size_t limit, json_t *rows,
                          bool *ret_there)
{
    own(http_answer) struct http_answer *a = NULL;
    own_json json_t *doc = NULL;
    own_mem char *word = http_escape(term);
    own_mem char *target = mem_printf("%s/v1/search?q=%s&n=%zu", base, word, limit);
    struct http_request request = { .accept = "application/json", .body_max = ANSWER_MAX };
    json_t *found;
    size_t i;
    TRY(server_try(s, target, &request, &a));
    *ret_there = a->status == 200 && a->body.len && a->body.text[0] == '{';
    if (!*ret_there)
        return a->status == 200 || a->status == 404 || a->status == 401 || a->status == 405 || a->status == 400
                   ? NULL
                   : server_error(s, a);
    TRY_AS(json_parse("what is found", a->body.text, a->body.len, &doc), "registry '%s'", s->registry);
    json_array_foreach (json_object_get(doc, "results"), i, found)
        if (json_array_size(rows) < limit)
            add_row(rows, text_at(found, "name"), found);
    return NULL;
}

static fallible search_catalog(struct server *s, const char *term, size_t limit, json_t *rows)
{
    own_mem char *target = mem_strdup("_catalog?n=1000");
    for (int page = 0; target && page < PAGES_MAX && json_array_size(rows) < limit; page++) {
        own(http_answer) struct http_answer *a = NULL;
        own_json json_t *doc = NULL;
        struct http_request request = { .accept = "application/json", .body_max = ANSWER_MAX };
        json_t *name;
        size_t i;
        TRY(server_try(s, target, &request, &a));
        if (a->status == 404 || a->status == 405)
            return err_new(ERR_UNSUPPORTED, "registry '%s' can neither be searched nor lists what it has", s->registry);
        if (a->status != 200)
            return server_error(s, a);
        TRY_AS(json_parse("list of repositories", a->body.text ? a->body.text : "", a->body.len, &doc), "registry '%s'",
               s->registry);
        json_array_foreach (json_object_get(doc, "repositories"), i, name)
            if (json_is_string(name) && strstr(json_string_value(name), term) && json_array_size(rows) < limit)
                add_row(rows, json_string_value(name), NULL);
        free(target);
        target = registry_next_page(s, a);
    }
    return NULL;
}

fallible registry_search(const char *registry, const char *term, size_t limit, const struct registry_options *options,
                         json_t **ret)
{
    own(server) struct server *s = NULL;
    own_json json_t *rows = json_array();
    const struct registry_endpoint *end = options->endpoints_n ? &options->endpoints[options->endpoints_n - 1] : NULL;
    bool hub = strcmp(registry, "docker.io") == 0, there = false;
    struct server_options server = {
        .registry = registry,
        .repository = "",
        .scope = "registry:catalog:*",
        .insecure = options->insecure || (end && end->place->insecure) || registry_named_insecure(registry),
        .stall_ns = options->stall_ns,
        .attempts = options->attempts,
        .retry_delay_ns = options->retry_delay_ns,
        .auth = options->auth,
        .certs = end ? end->certs : NULL,
    };
    TRY(server_open(&server, &s));
    /* Docker Hub is searched at another host than it is pulled from. */
    TRY(search_v1(s, hub ? "https://index.docker.io" : "", term, limit, rows, &there));
    if (!there)
        TRY(search_catalog(s, term, limit, rows));
    *ret = take(rows);
    return NULL;
}
