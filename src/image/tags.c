// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "image/inside.h"

enum { PAGES_MAX = 1000 };

char *registry_next_page(const struct server *s, const struct http_answer *a)
{
    const char *open = a->link ? strchr(a->link, '<') : NULL, *close = open ? strchr(open, '>') : NULL;
    if (!close || !strstr(close, "next"))
        return NULL;
    own_mem char *target = mem_strndup(open + 1, (size_t)(close - open - 1));
    if (target[0] == '/' && target[1] != '/')
        return mem_printf("%s%s", s->base, target);
    return http_same_origin(target, s->base) ? take(target) : NULL;
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
        free(target);
        target = registry_next_page(s, a);
    }
    return NULL;
}
