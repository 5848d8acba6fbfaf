// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "image/inside.h"

enum { PAGES_MAX = 1000 };

/* RFC 8288: <URL>; rel="next", <URL>; rel="last". Caller frees the URL; NULL: there is no next page. */
static char *next_link(const char *links)
{
    for (const char *open = strchr(links, '<'), *close; open; open = strchr(close, '<')) {
        close = strchr(open, '>');
        if (!close)
            break;
        own_mem char *words = mem_strndup(close, strcspn(close, "<"));
        if (strstr(words, "next"))
            return mem_strndup(open + 1, (size_t)(close - open - 1));
    }
    return NULL;
}

/* The path alone counts: behind a proxy a registry often does not know the name and the scheme that it is asked by. */
char *registry_next_page(const struct server *s, const struct http_answer *a)
{
    own_mem char *target = a->link ? next_link(a->link) : NULL;
    const char *scheme = target ? strstr(target, "://") : NULL;
    const char *path = scheme ? strchr(scheme + 3, '/') : target;
    return path && path[0] == '/' && path[1] != '/' ? mem_printf("%s%s", s->base, path) : NULL;
}

static fallible read_tags(const struct http_answer *a, struct strv *tags)
{
    own_json json_t *doc = NULL;
    TRY(json_parse("list of tags", a->body.text ? a->body.text : "", a->body.len, &doc));
    json_t *list = json_object_get(doc, "tags");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_string_value(json_array_get(list, i)))
            strv_add(tags, json_string_value(json_array_get(list, i)));
    return NULL;
}

fallible registry_list_tags(struct registry *r, struct strv *ret_tags)
{
    struct server *s = r->server;
    own_mem char *target = registry_target(s, "tags", "list");
    for (int page = 0; target && page < PAGES_MAX; page++) {
        own(http_answer) struct http_answer *a = NULL;
        TRY(server_get(s, target, "application/json", REGISTRY_MANIFEST_MAX, &a));
        TRY_AS(read_tags(a, ret_tags), "registry '%s'", s->registry);
        own_mem char *before = take(target);
        target = registry_next_page(s, a);
        if (target && (page + 1 == PAGES_MAX || strcmp(target, before) == 0))
            return err_new(ERR_CORRUPT, "registry '%s': its list of tags has no end", s->registry);
    }
    return NULL;
}
