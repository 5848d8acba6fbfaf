// SPDX-License-Identifier: GPL-2.0-or-later
/* Nothing is compiled: actions are evaluated as they are read, and the body of a range is read again for each round. */
#include "codec/template.h"

#include <ctype.h>
#include <string.h>

#include "codec/template_functions.h"
#include "codec/template_pipeline.h"

enum { ROUNDS_MAX = 1 << 18 };

enum stop { STOP_END, STOP_ELSE, STOP_BREAK, STOP_CONTINUE, STOP_TEXT_END };

/* ---- blocks ---- */

static fallible block(struct template_run *r, bool live, enum stop *ret);

/* After {{else}} or {{end}} has been seen: up to the end. */
static fallible must_end(enum stop stop)
{
    if (stop == STOP_TEXT_END)
        return err_new(ERR_INVALID, "a block is not closed with {{end}}");
    return stop == STOP_ELSE ? err_new(ERR_INVALID, "{{else}} twice") : NULL;
}

/* Dot is the variable "$" of the innermost with or range: slot 0, exchanged and put back. */
static json_t *set_dot(struct template_run *r, json_t *take_dot)
{
    json_t *old = r->variables[0].value;
    r->variables[0].value = take_dot;
    return old;
}

static bool is_jump(enum stop s)
{
    return s == STOP_BREAK || s == STOP_CONTINUE;
}

static fallible else_part(struct template_run *r, bool live, enum stop *ret_jump);

/* if and with: `with` makes the value the dot. */
static fallible conditional(struct template_run *r, bool live, bool with, enum stop *ret_jump)
{
    own_json json_t *v = NULL;
    size_t keep = r->variables_n;
    bool unused, lenient = r->lenient;
    enum stop stop = STOP_END, jump = STOP_END;
    r->lenient = true;
    TRY(template_valued(r, live, &v, &unused));
    r->lenient = lenient;
    TRY(template_close(r));
    bool yes = live && template_truth(v);
    json_t *old = with && yes ? set_dot(r, json_incref(v)) : NULL;
    err *e = block(r, yes, &stop);
    if (old)
        json_decref(set_dot(r, old));
    TRY(e);
    if (is_jump(stop)) { /* what is left of the block is only read */
        jump = stop;
        TRY(block(r, false, &stop));
    }
    if (stop == STOP_ELSE) {
        enum stop other = STOP_END;
        TRY(else_part(r, live && !yes, &other));
        if (is_jump(other))
            jump = other;
    } else {
        TRY(must_end(stop));
    }
    template_forget(r, keep);
    *ret_jump = jump;
    return NULL;
}

/* After "else" of an if or with: "}}", or another if or with whose {{end}} is ours. */
static fallible else_part(struct template_run *r, bool live, enum stop *ret_jump)
{
    enum stop stop = STOP_END;
    template_skip_space(r);
    if (template_take_word(r, "if"))
        return conditional(r, live, false, ret_jump);
    if (template_take_word(r, "with"))
        return conditional(r, live, true, ret_jump);
    TRY(template_close(r));
    TRY(block(r, live, &stop));
    if (is_jump(stop)) {
        *ret_jump = stop;
        TRY(block(r, false, &stop));
    }
    return must_end(stop);
}

struct range {
    char names[2][TEMPLATE_WORD_MAX];
    size_t names_n;
    const char *body;
    bool body_trim;
    enum stop end; /* how the body ended when it was last read: STOP_END or STOP_ELSE */
    bool broken;
};

/* "$i, $v :=" */
static fallible range_names(struct template_run *r, struct range *g)
{
    const char *p = r->p;
    size_t names = 0;
    while (*p == '$' && names < 2) {
        size_t n = template_word_len(p + 1);
        if (n >= TEMPLATE_WORD_MAX)
            return template_wrong(r, "a name is too long");
        memcpy(g->names[names], p + 1, n);
        g->names[names++][n] = '\0';
        p += n + 1;
        p += strspn(p, " \t\n");
        if (*p == ',')
            p += 1 + strspn(p + 1, " \t\n");
    }
    if (names && p[0] == ':' && p[1] == '=') {
        g->names_n = names;
        r->p = p + 2;
    }
    return NULL;
}

static fallible one_round(struct template_run *r, struct range *g, json_t *take_key, json_t *value)
{
    own_json json_t *key = take_key;
    size_t keep = r->variables_n;
    enum stop stop = STOP_END;
    r->p = g->body;
    r->trim = g->body_trim;
    err *e = NULL;
    if (g->names_n == 2)
        e = template_declare(r, g->names[0], strlen(g->names[0]), json_incref(key));
    if (!e && g->names_n)
        e = template_declare(r, g->names[g->names_n - 1], strlen(g->names[g->names_n - 1]), json_incref(value));
    json_t *old = set_dot(r, json_incref(value));
    if (!e)
        e = block(r, true, &stop);
    json_decref(set_dot(r, old));
    template_forget(r, keep);
    TRY(e);
    g->broken = stop == STOP_BREAK;
    if (is_jump(stop))
        TRY(block(r, false, &stop));
    g->end = stop;
    return NULL;
}

static fallible rounds(struct template_run *r, struct range *g, json_t *over, size_t *ret_n)
{
    own_json json_t *keys = json_is_object(over) ? template_sorted_keys(over) : NULL;
    size_t n = keys                    ? json_array_size(keys)
               : json_is_integer(over) ? (size_t)(json_integer_value(over) > 0 ? json_integer_value(over) : 0)
                                       : json_array_size(over);
    *ret_n = n;
    for (size_t i = 0; i < n && !g->broken; i++) {
        own_json json_t *number = json_integer((json_int_t)i);
        json_t *key = keys ? json_array_get(keys, i) : number;
        json_t *value = keys                    ? json_object_get(over, json_string_value(key))
                        : json_is_integer(over) ? number
                                                : json_array_get(over, i);
        if (r->rounds++ == ROUNDS_MAX)
            return err_new(ERR_EXHAUSTED, "range: more than %d rounds", ROUNDS_MAX);
        TRY(one_round(r, g, json_incref(key), value));
    }
    return NULL;
}

static fallible range(struct template_run *r, bool live)
{
    own_json json_t *over = NULL;
    struct range g = { 0 };
    size_t n = 0, keep = r->variables_n;
    bool lenient = r->lenient;
    template_skip_space(r);
    TRY(range_names(r, &g));
    r->lenient = true;
    TRY(template_pipeline(r, live, &over));
    r->lenient = lenient;
    TRY(template_close(r));
    if (live && !json_is_array(over) && !json_is_object(over) && !json_is_null(over) && !json_is_integer(over) &&
        r->mode == TEMPLATE_VALUES)
        return err_new(ERR_INVALID, "range: it goes over lists, maps and numbers");
    g.body = r->p;
    g.body_trim = r->trim;
    r->loops++;
    if (live)
        TRY(rounds(r, &g, over, &n));
    if (n == 0) { /* the body is read all the same, for where it ends; its variables have to be there */
        for (size_t i = 0; i < g.names_n; i++)
            TRY(template_declare(r, g.names[i], strlen(g.names[i]), json_null()));
        TRY(block(r, false, &g.end));
        template_forget(r, keep);
    }
    r->loops--;
    if (g.end == STOP_ELSE) {
        TRY(template_close(r));
        TRY(block(r, live && n == 0, &g.end));
    }
    return must_end(g.end);
}

/* ---- text and actions ---- */

static void add_text(struct template_run *r, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool escape = text[i] == '\\' && i + 1 < n && (text[i + 1] == 't' || text[i + 1] == 'n');
        str_add_char(r->out, escape ? text[i + 1] == 't' ? '\t' : '\n' : text[i]);
        i += escape;
    }
}

/* Up to the next action and into it; false at the end of the template. */
static bool plain_text(struct template_run *r, bool live)
{
    const char *end = strstr(r->p, "{{");
    const char *next = end ? end : r->p + strlen(r->p), *last = next;
    bool trims = end && end[2] == '-' && isspace((unsigned char)end[3]);
    if (r->trim)
        template_skip_space(r);
    r->trim = false;
    while (trims && last > r->p && isspace((unsigned char)last[-1]))
        last--;
    if (live && last > r->p)
        add_text(r, r->p, (size_t)(last - r->p));
    r->p = next;
    if (end)
        r->p += 2 + trims;
    return end != NULL;
}

static fallible comment(struct template_run *r)
{
    const char *end = strstr(r->p, "*/");
    if (!end)
        return template_wrong(r, "a comment is not closed");
    r->p = end + 2;
    return template_close(r);
}

static fallible print_action(struct template_run *r, bool live)
{
    own_json json_t *v = NULL;
    bool assigned = false;
    TRY(template_valued(r, live, &v, &assigned));
    TRY(template_close(r));
    if (live && !assigned) {
        if (json_is_null(v))
            str_add(r->out, "<no value>");
        else
            template_print(v, r->out);
    }
    return r->out->len > TEMPLATE_OUT_MAX ? err_new(ERR_EXHAUSTED, "the result is too long") : NULL;
}

/* One action, after its "{{". *ret_stop is set when it ends the block. */
static fallible action(struct template_run *r, bool live, bool *ret_stops, enum stop *ret_stop)
{
    static const char *const refused[] = { "template", "define", "block" };
    enum stop jump = STOP_END;
    *ret_stops = true;
    template_skip_space(r);
    if (r->p[0] == '/' && r->p[1] == '*') {
        *ret_stops = false;
        return comment(r);
    }
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (template_take_word(r, refused[i]))
            return err_new(ERR_UNSUPPORTED, "{{%s}} is not understood by husk", refused[i]);
    if (template_take_word(r, "end")) {
        *ret_stop = STOP_END;
        return template_close(r);
    }
    if (template_take_word(r, "else")) { /* what follows it is read by whose else it is */
        *ret_stop = STOP_ELSE;
        return NULL;
    }
    bool stays = template_take_word(r, "continue");
    if (stays || template_take_word(r, "break")) {
        if (!r->loops)
            return err_new(ERR_INVALID, "{{break}} and {{continue}} belong into a {{range}}");
        *ret_stops = live;
        *ret_stop = stays ? STOP_CONTINUE : STOP_BREAK;
        return template_close(r);
    }
    *ret_stops = false;
    if (template_take_word(r, "range"))
        return range(r, live);
    bool with = template_take_word(r, "with");
    if (!with && !template_take_word(r, "if"))
        return print_action(r, live);
    TRY(conditional(r, live, with, &jump));
    *ret_stops = is_jump(jump);
    *ret_stop = jump;
    return NULL;
}

static fallible block(struct template_run *r, bool live, enum stop *ret)
{
    size_t keep = r->variables_n;
    if (++r->depth > TEMPLATE_DEPTH_MAX)
        return err_new(ERR_INVALID, "blocks are nested too deeply");
    for (;;) {
        bool stops = false;
        if (!plain_text(r, live)) {
            *ret = STOP_TEXT_END;
            break;
        }
        TRY(action(r, live, &stops, ret));
        if (stops)
            break;
    }
    template_forget(r, keep);
    r->depth--;
    return NULL;
}

fallible template_render(const char *template, const json_t *doc, enum template_mode mode, struct str *out)
{
    return template_render_with(template, doc, NULL, mode, out);
}

fallible template_render_with(const char *template, const json_t *doc, const json_t *zeros, enum template_mode mode,
                              struct str *out)
{
    struct template_run *r = mem_zalloc(sizeof *r);
    enum stop stop = STOP_END;
    r->p = template;
    r->mode = mode;
    r->doc = doc;
    r->zeros = zeros;
    r->out = out;
    r->variables[0].value = json_incref((json_t *)doc); /* dot, under a name that nobody can write */
    r->variables[0].name[0] = ' ';
    r->variables_n = 1;
    err *e = template_declare(r, "", 0, json_incref((json_t *)doc)); /* $ */
    if (!e)
        e = block(r, true, &stop);
    if (!e && stop != STOP_TEXT_END)
        e = err_new(ERR_INVALID, "{{%s}} without a block that it belongs to", stop == STOP_ELSE ? "else" : "end");
    template_forget(r, 0);
    free(r);
    return e;
}
