/*
 * husk why: why a container ended, was killed, was refused something, was not started or is unwell; in words, with the
 * line that would change it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "engine/why.h"

struct why_opts {
    bool latest;
    const char *format;
};

#define T struct why_opts
static const struct opt why_options[] = {
    OPT_STR(0, "format", T, format, "FORMAT", "json, or a template such as '{{.Why}}'"),
    OPT_FLAG('l', "latest", T, latest, "The container that was made last"),
    OPT_END,
};
#undef T

static json_t *list(const struct strv *v)
{
    json_t *a = json_array();
    for (size_t i = 0; i < v->n; i++)
        (void)json_array_append_new(a, json_string(v->items[i]));
    return a;
}

static fallible print_formatted(const struct why *w, const char *format)
{
    json_t *known = json_object();
    for (size_t i = 0; i < w->facts_n; i++)
        (void)json_object_set_new(known, w->facts[i].label, json_string(w->facts[i].text));
    own_json json_t *doc =
        json_pack("{s:s, s:o, s:o, s:o, s:o}", "Why", w->headline ? w->headline : "", "Known", known, "Likely",
                  list(&w->likely), "NotKnown", list(&w->unknown), "Change", list(&w->cures));
    if (strcmp(format, "json") != 0) {
        own_str struct str out = { 0 };
        TRY(format_render(format, doc, &out));
        printf("%s\n", out.text ? out.text : "");
        return NULL;
    }
    own_mem char *text = json_dumps(doc, JSON_INDENT(2));
    printf("%s\n", text);
    return NULL;
}

enum { COLUMNS_MAX = 110 };

/* Long sentences are broken between words; what follows the first line is set in. */
static void print_wrapped(const char *text)
{
    size_t indent = 2;
    while (*text) {
        size_t n = strlen(text), room = COLUMNS_MAX - indent;
        if (n > room)
            for (n = room; n > room / 2 && text[n] != ' '; n--)
                ;
        printf("%*s%.*s\n", (int)indent, "", (int)n, text);
        for (text += n; *text == ' '; text++)
            ;
        indent = 6;
    }
}

static void print_list(const char *title, const struct strv *v)
{
    if (!v->n)
        return;
    printf("\n%s\n", title);
    for (size_t i = 0; i < v->n; i++)
        print_wrapped(v->items[i]);
}

static void print(const struct why *w)
{
    int width = 0;
    for (size_t i = 0; i < w->facts_n; i++)
        if ((int)strlen(w->facts[i].label) > width)
            width = (int)strlen(w->facts[i].label);
    printf("%s.\n", w->headline ? w->headline : "");
    if (w->facts_n)
        printf("\n");
    for (size_t i = 0; i < w->facts_n; i++)
        printf("  %-*s  %s\n", width, w->facts[i].label, w->facts[i].text);
    print_list("Likely, by what it said last:", &w->likely);
    print_list("Not known:", &w->unknown);
    print_list("What would change it:", &w->cures);
}

static fallible why_run(const void *opts_, struct args args)
{
    const struct why_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own(why) struct why *w = NULL;
    own_mem char *latest = NULL;
    TRY(engine_open_to_look(&engine));
    TRY(only_one(engine, o->latest, &args, &latest));
    TRY(container_find(engine, latest ? latest : args.v[0], &c));
    TRY(container_why(c, &w));
    if (o->format)
        return print_formatted(w, o->format);
    print(w);
    return NULL;
}

const struct command cmd_why = {
    .name = "why",
    .args = "[CONTAINER]",
    .summary = "Tell why a container ended, was killed, was refused something or is unwell",
    .detail = "What is known comes from its exit record, from who of husk's sent it a signal, from its limits, its "
              "health check\n"
              "and the kernel's log (root's alone on most hosts); what is only likely, from its last lines of output.",
    .opts = why_options,
    .opts_size = sizeof(struct why_opts),
    .max_args = 1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = why_run,
};
