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

/* Bytes of the character that begins here (it stood in JSON, so it is one), or 0 for one that steers a terminal: the
 * control characters (C0, DEL, C1) and those that turn the direction of a text. */
static size_t plain_bytes(const char *p)
{
    unsigned char a = (unsigned char)p[0], b = a ? (unsigned char)p[1] : 0, c = b ? (unsigned char)p[2] : 0;
    bool c1 = a == 0xc2 && b < 0xa0;
    bool turns = a == 0xe2 && ((b == 0x80 && ((c >= 0xaa && c <= 0xae) || c == 0x8e || c == 0x8f)) ||
                               (b == 0x81 && c >= 0xa6 && c <= 0xa9));
    if (a < ' ' || a == 0x7f || c1 || turns)
        return 0;
    return a < 0x80 ? 1 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;
}

/* What a registry sends is shown to a person: nothing in it may steer a terminal. */
static json_t *shown(const char *text)
{
    own_str struct str out = { 0 };
    size_t n;
    for (; *text && out.len < TEXT_MAX; text += n) {
        n = plain_bytes(text);
        if (n) {
            str_add_n(&out, text, n);
            continue;
        }
        str_add_char(&out, ' ');
        for (n = 1; ((unsigned char)text[n] & 0xc0) == 0x80; n++)
            ;
    }
    if (*text)
        str_add(&out, "...");
    return json_string(out.text ? out.text : "");
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
