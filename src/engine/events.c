// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/events.h"

#include <string.h>
#include <time.h>

#include "engine/container.h"
#include "engine/filter.h"
#include "image/layout.h"
#include "monitor/events.h"

struct reader {
    struct engine *engine;
    const struct events_wish *wish;
    json_t *known; /* container ID -> image, name and, once its "create" was seen, labels; image -> labels */
    json_t *whole; /* those of which that was seen */
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

static void add(json_t *attributes, const char *key, const char *value)
{
    (void)json_object_set_new(attributes, key, json_string(value));
}

static void add_missing(json_t *attributes, const char *key, const char *value)
{
    if (value && !json_object_get(attributes, key))
        add(attributes, key, value);
}

/* "create" has image, name and labels, and nothing of its own; what others have may be about what they tell. */
static void keep(struct reader *r, const char *id, const char *action, const json_t *attributes)
{
    json_t *known = json_object_get(r->known, id);
    if (!known)
        (void)json_object_set_new(r->known, id, known = json_object());
    if (strcmp(action, "create") == 0) {
        (void)json_object_update(known, (json_t *)attributes);
        (void)json_object_set_new(r->whole, id, json_true());
    }
    add(known, "image", text_of(attributes, "image"));
    add(known, "name", text_of(attributes, "name"));
}

static fallible add_from_rows(struct reader *r, const char *id, json_t *attributes)
{
    own(container) struct container *c = NULL;
    const struct container_config *config;
    TRY(container_find(r->engine, id, &c));
    add_missing(attributes, "image", c->row.image);
    add_missing(attributes, "name", c->row.name);
    TRY(container_config(c, &config));
    for (size_t i = 0; i < config->labels.n; i++)
        add_missing(attributes, config->labels.items[i].key, config->labels.items[i].value);
    return NULL;
}

/* As docker has them. Who pulls or loads does not look for them: the image says, while it is here. */
static fallible add_image_labels(struct reader *r, const char *what, json_t *attributes)
{
    own(image) struct image *image = NULL;
    struct layout *l;
    TRY(engine_layout(r->engine, &l));
    TRY(image_find(l, what, NULL, &image));
    for (size_t i = 0; image->config->config && i < image->config->config->labels.n; i++)
        add(attributes, image->config->config->labels.items[i].key, image->config->config->labels.items[i].value);
    return NULL;
}

static void complete_image(struct reader *r, const char *id, json_t *attributes)
{
    const char *digest = json_string_value(json_object_get(attributes, "digest")), *what = digest ? digest : id;
    json_t *labels = json_object_get(r->known, what);
    if (!str_starts(what, "sha256:"))
        return;
    if (!labels) {
        (void)json_object_set_new(r->known, what, labels = json_object());
        err_ignore(add_image_labels(r, what, labels), "it is gone, and its labels with it");
    }
    (void)json_object_update_missing(attributes, labels);
}

static void complete(struct reader *r, const json_t *doc)
{
    json_t *actor = json_object_get(doc, "Actor"), *attributes = json_object_get(actor, "Attributes");
    const char *id = text_of(actor, "ID");
    if (strcmp(text_of(doc, "Type"), "image") == 0 && json_is_object(attributes)) {
        complete_image(r, id, attributes);
        return;
    }
    if (strcmp(text_of(doc, "Type"), "container") != 0 || !json_is_object(attributes))
        return;
    if (json_object_get(attributes, "name")) {
        keep(r, id, text_of(doc, "Action"), attributes);
        return;
    }
    json_t *known = json_object_get(r->known, id);
    (void)json_object_update_missing(attributes, known);
    if (!json_object_get(r->whole, id))
        err_ignore(add_from_rows(r, id, attributes), "it is gone, and its name with it");
}

/* ---- filters ---- */

/* Types of docker's and podman's that husk never has an event of are asked for in vain, and that is no mistake. */
static const char *const words_type[] = { "container", "image",   "volume",  "network", "pod",
                                          "secret",    "builder", "config",  "daemon",  "machine",
                                          "node",      "plugin",  "service", "system",  NULL },
                         *const words_scope[] = { "local", "swarm", NULL };
static const struct filter_key keys[] = {
    { "container", NULL, NULL }, { "image", NULL, NULL },
    { "volume", NULL, NULL },    { "network", NULL, NULL },
    { "pod", NULL, NULL },       { "secret", NULL, NULL },
    { "event", NULL, NULL },     { "type", words_type, NULL },
    { "label", NULL, NULL },     { "scope", words_scope, NULL },
    { "config", NULL, NULL },    { "daemon", NULL, NULL },
    { "node", NULL, NULL },      { "plugin", NULL, NULL },
    { "service", NULL, NULL },   { 0 },
};

/* A name with its tag, or without it as docker has it. */
static bool is_image(const char *name, const char *value)
{
    size_t n = strlen(value);
    return strcmp(name, value) == 0 || (strncmp(name, value, n) == 0 && name[n] == ':' && !strchr(name + n, '/'));
}

static bool is_object(const json_t *doc, const char *type, const char *value)
{
    const json_t *actor = json_object_get(doc, "Actor"), *attributes = json_object_get(actor, "Attributes");
    const char *id = text_of(actor, "ID"), *name = text_of(attributes, "name");
    if (strcmp(text_of(doc, "Type"), type) != 0)
        return strcmp(type, "image") == 0 && is_image(text_of(attributes, "image"), value);
    return strcmp(name, value) == 0 || (strcmp(type, "image") == 0 && is_image(name, value)) ||
           strcmp(id, value) == 0 || (strlen(value) >= 4 && str_starts(id, value));
}

static bool has_label(const json_t *doc, const char *wish)
{
    size_t n = strcspn(wish, "=");
    own_mem char *key = mem_strndup(wish, n);
    const json_t *attributes = json_object_get(json_object_get(doc, "Actor"), "Attributes");
    const char *value = json_string_value(json_object_get(attributes, key));
    return value && (!wish[n] || strcmp(value, wish + n + 1) == 0);
}

/* "health_status" is any of "health_status: healthy" and so on, as with docker; and podman's words for the same. */
static bool is_action(const char *action, const char *value)
{
    static const char *const podmans[][2] = {
        { "died", "die" },      { "exec_died", "exec_die" }, { "exec", "exec_start" },      { "remove", "destroy" },
        { "remove", "delete" }, { "build", "create" },       { "loadfromarchive", "load" },
    };
    size_t n = strlen(value);
    if (strcmp(action, value) == 0 || (strncmp(action, value, n) == 0 && action[n] == ':'))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(podmans); i++) {
        size_t own = strlen(podmans[i][1]);
        if (strcmp(value, podmans[i][0]) == 0 && strncmp(action, podmans[i][1], own) == 0 &&
            (!action[own] || action[own] == ':'))
            return true;
    }
    return false;
}

static err *matches(void *ctx, const char *key, const char *value, bool *ret)
{
    const json_t *doc = ctx;
    if (strcmp(key, "event") == 0)
        *ret = is_action(text_of(doc, "Action"), value);
    else if (strcmp(key, "type") == 0)
        *ret = strcmp(text_of(doc, "Type"), value) == 0;
    else if (strcmp(key, "scope") == 0)
        *ret = strcmp(text_of(doc, "scope"), value) == 0;
    else if (strcmp(key, "label") == 0)
        *ret = has_label(doc, value);
    else
        *ret = is_object(doc, key, value);
    return NULL;
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
    bool wanted = at >= from;
    if (wanted)
        TRY(filters_pass(w->filters, keys, matches, doc, &wanted));
    if (!wanted)
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
    own_json json_t *known = json_object(), *whole = json_object();
    struct reader r = { e, w, known, whole, now_ns() };
    TRY(filters_check(w->filters, keys));
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
