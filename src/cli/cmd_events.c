/*
 * husk events: what happens to containers, images and volumes, as it happens.
 * Compatible with: docker events, podman events.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "engine/events.h"

struct events_opts {
    const char *since, *until, *format, *stream;
    struct strv filter;
    struct opt_bool no_trunc;
};

#define T struct events_opts
static const struct opt events_options[] = {
    OPT_STR(0, "since", T, since, "TIME", "Those that happened since a time, or as long ago (10m), too"),
    OPT_STR(0, "until", T, until, "TIME", "End at a time; in the past: only what happened before"),
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE",
             "container, image, volume, network, pod, secret, event, type, label, scope"),
    OPT_STR(0, "format", T, format, "FORMAT", "json, or a template such as '{{.Action}} {{.Actor.ID}}'"),
    OPT_SWITCH(0, "no-trunc", T, no_trunc, "Whole IDs (default: true); false: their first 12 digits"),
    OPT_STR(0, "stream", T, stream, "BOOL", "false: end after the last one there is"),
    OPT_END,
};
#undef T

/* 2026-01-02T15:04:05.000000000+01:00 container start ID (image=x, name=y), as docker prints it. */
static void print_line(const json_t *doc)
{
    char date[32], zone[8];
    struct tm tm = { 0 };
    int64_t ns = json_integer_value(json_object_get(doc, "timeNano"));
    time_t seconds = (time_t)(ns / 1000000000);
    const json_t *actor = json_object_get(doc, "Actor");
    json_t *attributes = json_object_get(actor, "Attributes"), *value;
    const char *key, *between = " (";
    (void)localtime_r(&seconds, &tm);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)strftime(zone, sizeof zone, "%z", &tm);
    printf("%s.%09" PRId64 "%.3s:%s %s %s %s", date, ns % 1000000000, zone, zone + 3,
           json_string_value(json_object_get(doc, "Type")), json_string_value(json_object_get(doc, "Action")),
           json_string_value(json_object_get(actor, "ID")));
    json_object_foreach (attributes, key, value) {
        printf("%s%s=%s", between, key, json_string_value(value));
        between = ", ";
    }
    printf(json_object_size(attributes) ? ")\n" : "\n");
}

/* An ID, with its kind of digest before it or not; a name stays as it is. */
static void shorten(json_t *in, const char *key)
{
    const char *id = json_string_value(json_object_get(in, key));
    if (id && str_starts(id, "sha256:"))
        id += strlen("sha256:");
    if (id && strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64)
        (void)json_object_set_new(in, key, json_stringn(id, 12));
}

/* What docker's and podman's templates know besides the document's own keys: {{.Status}}, {{.ID}}, {{.Name}}. */
static json_t *go_fields(const json_t *doc)
{
    const json_t *actor = json_object_get(doc, "Actor"), *attributes = json_object_get(actor, "Attributes");
    const struct {
        const char *field, *key;
        const json_t *in;
        bool number;
    } rows[] = {
        { "Status", "Action", doc, false },     { "ID", "ID", actor, false },
        { "From", "image", attributes, false }, { "Image", "image", attributes, false },
        { "Name", "name", attributes, false },  { "ContainerExitCode", "exitCode", attributes, false },
        { "Scope", "scope", doc, false },       { "Time", "time", doc, true },
        { "TimeNano", "timeNano", doc, true },
    };
    json_t *o = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        json_t *value = json_object_get(rows[i].in, rows[i].key);
        (void)json_object_set_new(o, rows[i].field,
                                  value            ? json_incref(value)
                                  : rows[i].number ? json_integer(0)
                                                   : json_string(""));
    }
    (void)json_object_set(o, "Attributes", (json_t *)(uintptr_t)attributes);
    return json_pack("{s:o}", "", o);
}

static err *print_event(void *ctx, const json_t *whole)
{
    const struct events_opts *o = ctx;
    const json_t *doc = whole;
    own_json json_t *short_ids = NULL;
    if (o->no_trunc.set && !o->no_trunc.v) {
        doc = short_ids = json_deep_copy(whole);
        shorten(short_ids, "id");
        shorten(json_object_get(short_ids, "Actor"), "ID");
    }
    own_str struct str line = { 0 };
    if (o->format && strcmp(o->format, "json") != 0) {
        own_json json_t *fields = go_fields(doc);
        TRY_AS(template_render_with(o->format, doc, fields, TEMPLATE_VALUES, &line), "--format");
        printf("%s\n", line.text ? line.text : "");
    } else if (o->format) {
        TRY(format_render(o->format, doc, &line));
        printf("%s\n", line.text ? line.text : "");
    } else {
        print_line(doc);
    }
    return fflush(stdout) == 0 ? NULL : err_sys(errno, "write to standard output");
}

static fallible events_run(const void *opts_, struct args args)
{
    const struct events_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct events_wish wish = { .filters = &o->filter, .reader_fd = STDOUT_FILENO };
    bool stream = true;
    if (o->since)
        TRY_AS(parse_when_ns(o->since, &wish.since_ns), "--since");
    if (o->since && !wish.since_ns) /* the epoch; 0 would be: not given */
        wish.since_ns = 1;
    if (o->until)
        TRY_AS(parse_when_ns(o->until, &wish.until_ns), "--until");
    if (o->stream)
        TRY_AS(parse_bool(o->stream, &stream), "--stream");
    wish.so_far = !stream;
    TRY(engine_open(&engine));
    return engine_events(engine, &wish, print_event, (void *)o);
}

const struct command cmd_events = {
    .name = "events",
    .summary = "Show what happens to containers, images and volumes",
    .detail =
        "In docker's words; filters take podman's for the same (died, remove, build ...).\n"
        "container: create attach init start restart stop kill oom die destroy pause unpause rename update commit "
        "export\n"
        "  archive-path extract-to-dir top exec_create exec_start exec_detach exec_die detach health_status checkpoint "
        "restore\n"
        "  mount unmount undo prune; attach is of `husk attach` and `husk start --attach`\n"
        "image: pull push load import save create (by a build) tag untag delete mount unmount undo prune\n"
        "volume: create destroy undo prune; network: create connect disconnect destroy undo prune\n"
        "pod: create start stop kill pause unpause remove undo; secret: create remove; builder: prune\n"
        "Docker's resize, and its mount and unmount of volumes, are not said. One to two megabytes are kept, until "
        "the next boot.",
    .opts = events_options,
    .opts_size = sizeof(struct events_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = events_run,
};
