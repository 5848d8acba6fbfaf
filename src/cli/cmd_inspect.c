/*
 * husk inspect, husk container inspect: everything about containers, images, volumes, networks, pods and secrets.
 * Compatible with: docker inspect, podman inspect.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "cli/inspect_docs.h"
#include "cli/pod.h"

struct inspect_opts {
    const char *format, *type;
    bool size, latest;
};

static const char *const words_type[] = { "container", "image", "volume", "network", "pod", "secret", "all", NULL };

#define T struct inspect_opts
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.State.Pid}}'"),
    OPT_STR('t', "type", T, type, "TYPE", "Only a thing of that kind; all (default)", .words = words_type),
    OPT_FLAG('s', "size", T, size, "With how much a container has written: SizeRw and SizeRootFs"),
    OPT_FLAG('l', "latest", T, latest, "The container that was made last"),
    OPT_END,
};
static const struct opt container_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.State.Pid}}'"),
    OPT_FLAG('s', "size", T, size, "With how much it has written: SizeRw and SizeRootFs"),
    OPT_FLAG('l', "latest", T, latest, "The one that was made last"),
    OPT_END,
};
#undef T

struct inspect {
    struct engine *engine;
    json_t *docs;
    const char *type; /* NULL: the first kind that has the name */
    bool size;
};

/* Nothing of this kind has the name: another kind may. What is there and cannot be read is an error that is told. */
static fallible other_kind(const struct inspect *i, err *e)
{
    if (i->type || (!err_is(e, ERR_NOT_FOUND) && !err_is(e, ERR_INVALID)))
        return e;
    err_ignore(e, "of another kind, then");
    return NULL;
}

static fallible add_container(struct inspect *i, const char *name)
{
    own(container) struct container *c = NULL;
    json_t *doc = NULL;
    uint64_t writable = 0, whole = 0;
    TRY(other_kind(i, container_find(i->engine, name, &c)));
    if (!c)
        return NULL;
    TRY(inspect_container(c, &doc));
    (void)json_array_append_new(i->docs, doc);
    if (!i->size)
        return NULL;
    TRY(container_size(c, &writable, &whole));
    (void)json_object_set_new(doc, "SizeRw", json_integer((json_int_t)writable));
    (void)json_object_set_new(doc, "SizeRootFs", json_integer((json_int_t)whole));
    return NULL;
}

static fallible add_image(struct inspect *i, const char *name)
{
    struct layout *layout;
    own(image) struct image *image = NULL;
    json_t *doc = NULL;
    TRY(engine_layout(i->engine, &layout));
    TRY(other_kind(i, image_find_here(layout, name, NULL, &image)));
    if (!image)
        return NULL;
    TRY(inspect_image(layout, image, &doc));
    (void)json_array_append_new(i->docs, doc);
    return NULL;
}

static fallible add_volume(struct inspect *i, const char *name)
{
    struct db *db = NULL;
    struct db_volume v;
    TRY(engine_db_if_there(i->engine, &db));
    err *e = db ? db_volume_find(db, name, &v) : err_new(ERR_NOT_FOUND, "no such volume: '%s'", name);
    if (e)
        return other_kind(i, e);
    (void)json_array_append_new(i->docs, inspect_volume(i->engine, &v));
    db_volume_clear(&v);
    return NULL;
}

static fallible add_network(struct inspect *i, const char *name)
{
    own(network) struct network *n = NULL;
    json_t *doc = NULL;
    TRY(other_kind(i, network_find(i->engine, name, &n)));
    if (!n)
        return NULL;
    TRY(inspect_network(i->engine, n, &doc));
    (void)json_array_append_new(i->docs, doc);
    return NULL;
}

static fallible add_pod(struct inspect *i, const char *name)
{
    own(pod) struct pod *p = NULL;
    json_t *doc = NULL;
    TRY(other_kind(i, pod_find(i->engine, name, &p)));
    if (!p)
        return NULL;
    TRY(pod_inspect(p, &doc));
    (void)json_array_append_new(i->docs, doc);
    return NULL;
}

static fallible add_secret(struct inspect *i, const char *name)
{
    own(secret) struct secret s = { 0 };
    err *e = secret_find(i->engine, name, &s);
    if (e)
        return other_kind(i, e);
    (void)json_array_append_new(i->docs, inspect_secret(&s));
    return NULL;
}

static err *inspect_one(const char *name, void *ctx)
{
    static const struct {
        const char *type;
        err *(*add)(struct inspect *i, const char *name);
    } kinds[] = { { "container", add_container }, { "image", add_image }, { "volume", add_volume },
                  { "network", add_network },     { "pod", add_pod },     { "secret", add_secret } };
    struct inspect *i = ctx;
    size_t had = json_array_size(i->docs);
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        if (i->type && strcmp(i->type, kinds[k].type) != 0)
            continue;
        TRY(kinds[k].add(i, name));
        if (json_array_size(i->docs) > had)
            return NULL;
    }
    return err_new(ERR_NOT_FOUND, "no container, image, volume, network, pod or secret is called '%s'", name);
}

static fallible inspect_all(const struct inspect_opts *o, const char *type, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own_json json_t *docs = json_array();
    TRY(engine_open_to_look(&engine));
    own_mem char *latest = NULL;
    TRY(only_one(engine, o->latest, &args, &latest));
    if (latest && args.n)
        return err_new(ERR_INVALID, "--latest and names exclude each other");
    struct inspect i = { engine, docs, latest ? "container" : type, o->size };
    if (latest)
        args = (struct args){ &latest, 1 };
    err *e = command_each("husk inspect", args, inspect_one, &i);
    return inspect_print(docs, o->format, e);
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct inspect_opts *o = opts_;
    return inspect_all(o, o->type && strcmp(o->type, "all") != 0 ? o->type : NULL, args);
}

static fallible container_inspect_run(const void *opts_, struct args args)
{
    return inspect_all(opts_, "container", args);
}

const struct command cmd_inspect = {
    .name = "inspect",
    .args = "[NAME...]",
    .summary = "Show everything about containers, images, volumes, networks, pods and secrets",
    .opts = inspect_options,
    .opts_size = sizeof(struct inspect_opts),
    .max_args = -1,
    .complete_args = COMPLETE_OBJECT,
    .fail_exit = 1,
    .run = inspect_run,
};

const struct command cmd_container_inspect = {
    .name = "inspect",
    .args = "[CONTAINER...]",
    .summary = "Show everything about containers",
    .opts = container_options,
    .opts_size = sizeof(struct inspect_opts),
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = container_inspect_run,
};
