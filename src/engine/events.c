// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/events.h"

#include <string.h>
#include <time.h>

#include "engine/container.h"
#include "monitor/events.h"

struct reader {
    struct engine *engine;
    const struct events_wish *wish;
    json_t *known; /* container ID -> its latest whole attributes */
    int64_t began_ns;
};

static int64_t now_ns(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* ---- what the writer did not know ---- */

static void add_missing(json_t *attributes, const char *key, const char *value)
{
    if (value && !json_object_get(attributes, key))
        (void)json_object_set_new(attributes, key, json_string(value));
}

static void complete(struct reader *r, const json_t *doc)
{
    json_t *actor = json_object_get(doc, "Actor"), *attributes = json_object_get(actor, "Attributes");
    const char *id = text_of(actor, "ID");
    if (strcmp(text_of(doc, "Type"), "container") != 0 || !json_is_object(attributes))
        return;
    if (json_object_get(attributes, "name")) {
        json_t *kept =
            json_pack("{s:s, s:s}", "image", text_of(attributes, "image"), "name", text_of(attributes, "name"));
        (void)json_object_set_new(r->known, id, kept);
        return;
    }
    const json_t *known = json_object_get(r->known, id);
    if (known) {
        add_missing(attributes, "image", text_of(known, "image"));
        add_missing(attributes, "name", text_of(known, "name"));
        return;
    }
    own(container) struct container *c = NULL;
    err *e = container_find(r->engine, id, &c);
    if (!e) {
        add_missing(attributes, "image", c->row.image);
        add_missing(attributes, "name", c->row.name);
    }
    err_ignore(e, "it is gone, and its name with it");
}

/* ---- filters ---- */

static const char *const keys[] = {
    "container", "image", "volume", "network", "pod", "event", "type", "label", "scope"
};

static fallible check_filters(const struct strv *filters)
{
    for (size_t i = 0; filters && i < filters->n; i++) {
        const char *f = filters->items[i];
        size_t n = strcspn(f, "=");
        bool known = false;
        if (!f[n])
            return err_new(ERR_INVALID, "--filter: '%s': it is KEY=VALUE", f);
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
            known |= strlen(keys[k]) == n && strncmp(keys[k], f, n) == 0;
        if (!known)
            return err_new(ERR_INVALID,
                           "--filter: '%.*s' is not one of container, image, volume, network, pod, event, type, label, "
                           "scope",
                           (int)n, f);
    }
    return NULL;
}

static bool is_object(const json_t *doc, const char *type, const char *value)
{
    const json_t *actor = json_object_get(doc, "Actor"), *attributes = json_object_get(actor, "Attributes");
    const char *id = text_of(actor, "ID"), *name = text_of(attributes, "name");
    if (strcmp(text_of(doc, "Type"), type) != 0)
        return strcmp(type, "image") == 0 && strcmp(text_of(attributes, "image"), value) == 0;
    return strcmp(name, value) == 0 || strcmp(id, value) == 0 || (strlen(value) >= 4 && str_starts(id, value));
}

static bool has_label(const json_t *doc, const char *wish)
{
    size_t n = strcspn(wish, "=");
    own_mem char *key = mem_strndup(wish, n);
    const json_t *attributes = json_object_get(json_object_get(doc, "Actor"), "Attributes");
    const char *value = json_string_value(json_object_get(attributes, key));
    return value && (!wish[n] || strcmp(value, wish + n + 1) == 0);
}

static bool matches(const json_t *doc, const char *key, const char *value)
{
    if (strcmp(key, "event") == 0) {
        const char *action = text_of(doc, "Action");
        return strcmp(action, value) == 0 || (strcmp(value, "died") == 0 && strcmp(action, "die") == 0) ||
               (strcmp(value, "remove") == 0 && strcmp(action, "destroy") == 0);
    }
    if (strcmp(key, "type") == 0)
        return strcmp(text_of(doc, "Type"), value) == 0;
    if (strcmp(key, "scope") == 0)
        return strcmp(text_of(doc, "scope"), value) == 0;
    if (strcmp(key, "label") == 0)
        return has_label(doc, value);
    return is_object(doc, key, value);
}

/* Several of one key: any of them, but every label; different keys: all of them. */
static bool passes(const json_t *doc, const struct strv *filters)
{
    for (size_t k = 0; filters && k < ARRAY_SIZE(keys); k++) {
        bool asked = false, any = false, all = true;
        for (size_t i = 0; i < filters->n; i++) {
            size_t n = strlen(keys[k]);
            if (strncmp(filters->items[i], keys[k], n) != 0 || filters->items[i][n] != '=')
                continue;
            bool hit = matches(doc, keys[k], filters->items[i] + n + 1);
            asked = true;
            any |= hit;
            all &= hit;
        }
        if (asked && !(strcmp(keys[k], "label") == 0 ? all : any))
            return false;
    }
    return true;
}

/* ---- reading ---- */

static void add_old_names(json_t *doc)
{
    const json_t *actor = json_object_get(doc, "Actor");
    const char *image = text_of(json_object_get(actor, "Attributes"), "image");
    (void)json_object_set_new(doc, "status", json_string(text_of(doc, "Action")));
    (void)json_object_set_new(doc, "id", json_string(text_of(actor, "ID")));
    if (*image)
        (void)json_object_set_new(doc, "from", json_string(image));
}

/* *ret_past: it is later than what was asked for. */
static fallible consider(struct reader *r, const char *line, events_fn *fn, void *ctx, bool *ret_past)
{
    own_json json_t *doc = json_loads(line, 0, NULL);
    const struct events_wish *w = r->wish;
    if (!json_is_object(doc)) /* torn by a full disk */
        return NULL;
    int64_t at = json_integer_value(json_object_get(doc, "timeNano"));
    int64_t from = w->since_ns || w->until_ns || w->so_far ? w->since_ns : r->began_ns;
    complete(r, doc);
    if (w->until_ns && at >= w->until_ns) {
        *ret_past = true;
        return NULL;
    }
    if (at < from || !passes(doc, w->filters))
        return NULL;
    add_old_names(doc);
    return fn(ctx, doc);
}

static int wait_ms(const struct events_wish *w)
{
    if (!w->until_ns)
        return -1;
    int64_t left = (w->until_ns - now_ns()) / 1000000 + 1;
    return left < 0 ? 0 : left > 86400000 ? 86400000 : (int)left;
}

static fallible read_all(struct reader *r, struct events *events, events_fn *fn, void *ctx)
{
    bool past = false;
    while (!past) {
        const char *line = NULL;
        TRY(events_next(events, wait_ms(r->wish), &line));
        if (line)
            TRY(consider(r, line, fn, ctx, &past));
        else if (r->wish->so_far || (r->wish->until_ns && now_ns() >= r->wish->until_ns))
            return NULL;
    }
    return NULL;
}

fallible engine_events(struct engine *e, const struct events_wish *w, events_fn *fn, void *ctx)
{
    own(events) struct events *events = NULL;
    own_json json_t *known = json_object();
    struct reader r = { e, w, known, now_ns() };
    TRY(check_filters(w->filters));
    if (w->until_ns && w->since_ns > w->until_ns)
        return err_new(ERR_INVALID, "--until is before --since");
    TRY(events_open(e->run, w->so_far ? EVENTS_SO_FAR : EVENTS_FOLLOW, &events));
    events_reader(events, w->reader_fd);
    err *failed = read_all(&r, events, fn, ctx);
    if (!err_is(failed, ERR_CANCELLED))
        return failed;
    err_ignore(failed, "who asked has left");
    return NULL;
}
