// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The instructions that change the image's config and no file.
 */
#include <ctype.h>
#include <string.h>

#include "base/parse.h"
#include "build/build_parts.h"
#include "os/proc.h"

void instruct_shell(const struct build_state *s, const char *text, struct strv *ret)
{
    const struct strv *shell = &s->config->config->shell;
    if (shell->n) {
        strv_copy(ret, shell->items, shell->n);
    } else {
        strv_add(ret, "/bin/sh");
        strv_add(ret, "-c");
    }
    strv_add(ret, text);
}

char *instruct_quoted(const struct strv *words)
{
    own_str struct str out = { 0 };
    str_add(&out, "[");
    for (size_t i = 0; i < words->n; i++) {
        str_add(&out, i ? " \"" : "\"");
        for (const char *c = words->items[i]; *c; c++) {
            if (*c == '"' || *c == '\\')
                str_add_char(&out, '\\');
            if (*c == '\n')
                str_add(&out, "\\n");
            else if (*c == '\t')
                str_add(&out, "\\t");
            else
                str_add_char(&out, *c);
        }
        str_add(&out, "\"");
    }
    str_add(&out, "]");
    return str_take(&out);
}

static void note(struct build *b, struct stage_run *r, const char *text)
{
    build_state_add(r->state, NULL, text, build_newest(b, r->state));
}

static void set_list(struct strv *list, struct strv *take_new)
{
    strv_free(list);
    *list = *take_new;
    *take_new = (struct strv){ 0 };
}

static void command_of(const struct stage_run *r, const struct df_instruction *i, struct strv *ret)
{
    if (i->json)
        strv_copy(ret, i->args.items, i->args.n);
    else if (i->args.n)
        instruct_shell(r->state, i->args.items[0], ret);
}

static fallible cmd(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    own_strv struct strv words = { 0 };
    command_of(r, i, &words);
    own_mem char *quoted = instruct_quoted(&words), *text = mem_printf("CMD %s", quoted);
    set_list(&r->state->config->config->cmd, &words);
    r->cmd_set = true;
    note(b, r, text);
    return NULL;
}

static fallible entrypoint(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    own_strv struct strv words = { 0 };
    command_of(r, i, &words);
    own_mem char *quoted = instruct_quoted(&words), *text = mem_printf("ENTRYPOINT %s", quoted);
    set_list(&r->state->config->config->entrypoint, &words);
    if (!r->cmd_set) /* the base image's was meant for its own entrypoint */
        strv_free(&r->state->config->config->cmd);
    note(b, r, text);
    return NULL;
}

static fallible shell(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    own_strv struct strv words = { 0 };
    strv_copy(&words, i->args.items, i->args.n);
    own_mem char *quoted = instruct_quoted(&words), *text = mem_printf("SHELL %s", quoted);
    set_list(&r->state->config->config->shell, &words);
    note(b, r, text);
    return NULL;
}

static fallible pairs(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    struct oci_image_run *run = r->state->config->config;
    own_str struct str text = { 0 };
    struct expand e = build_expand(b, r);
    own_strv struct strv before = { 0 };
    strv_copy(&before, run->env.items, run->env.n);
    e.env[0] = &before; /* all of one instruction see what was before it */
    str_add(&text, df_kind_name(i->kind));
    for (size_t k = 0; k + 1 < i->args.n; k += 2) {
        own_mem char *key = NULL, *value = NULL;
        TRY(expand_word(&e, i->args.items[k], &key));
        TRY(expand_word(&e, i->args.items[k + 1], &value));
        if (!*key)
            return err_new(ERR_INVALID, "%s: the name is empty: expected NAME=VALUE", df_kind_name(i->kind));
        own_mem char *pair = mem_printf("%s=%s", key, value);
        str_printf(&text, " %s", pair);
        if (i->kind == DF_LABEL) {
            strmap_set(&run->labels, key, value);
        } else {
            strv_setenv(&run->env, pair);
        }
    }
    note(b, r, text.text);
    return NULL;
}

static fallible one_arg(struct build *b, struct stage_run *r, const struct df_instruction *i, const char *word)
{
    struct expand e = build_expand(b, r);
    own_mem char *name = NULL, *value = NULL;
    const char *equals = strchr(word, '=');
    own_mem char *raw = mem_strndup(word, equals ? (size_t)(equals - word) : strlen(word));
    TRY(expand_word(&e, raw, &name));
    if (equals)
        TRY(expand_word(&e, equals + 1, &value));
    const char *given = strv_getenv(&b->build_args, name);
    if (given && !strv_has(&b->used_args, name))
        strv_add(&b->used_args, name);
    if (!given && !value)
        given = strv_getenv(&b->stages->globals, name);
    if (!given && !value)
        given = strv_getenv(&b->platform_args, name);
    if (given || value) {
        own_mem char *pair = mem_printf("%s=%s", name, given ? given : value);
        strv_setenv(&r->state->args, pair);
    }
    return NULL;
}

static fallible arg(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    own_str struct str text = { 0 };
    str_add(&text, "ARG");
    for (size_t k = 0; k < i->args.n; k++) {
        TRY(one_arg(b, r, i, i->args.items[k]));
        own_mem char *name = mem_strndup(i->args.items[k], strcspn(i->args.items[k], "="));
        const char *value = strv_getenv(&r->state->args, name);
        str_printf(&text, " %s%s%s", name, value ? "=" : "", value ? value : "");
    }
    note(b, r, text.text);
    return NULL;
}

/* "80", "53/udp", "8000-8010/tcp". As with BuildKit, an address and a port of the host before them are warned of
 * (check.c) and left out. */
static fallible add_port(struct oci_image_run *run, const char *text)
{
    uint64_t first = 0, last = 0;
    own_mem char *whole = mem_strndup(text, strcspn(text, "/"));
    const char *protocol = text[strlen(whole)] ? text + strlen(whole) + 1 : "tcp";
    char *colon = strrchr(whole, ':'), *ports = colon ? colon + 1 : whole;
    char *dash = strchr(ports, '-');
    if (colon && !*ports)
        return err_new(ERR_INVALID, "EXPOSE: '%s': expected the container's port behind the last colon", text);
    if (strcasecmp(protocol, "tcp") != 0 && strcasecmp(protocol, "udp") != 0 && strcasecmp(protocol, "sctp") != 0)
        return err_new(ERR_INVALID, "EXPOSE: '%s': expected tcp, udp or sctp behind the slash", text);
    if (dash)
        *dash = '\0';
    TRY_AS(parse_u64(ports, 65535, &first), "EXPOSE: '%s'", text);
    last = first;
    if (dash)
        TRY_AS(parse_u64(dash + 1, 65535, &last), "EXPOSE: '%s'", text);
    if (last < first)
        return err_new(ERR_INVALID, "EXPOSE: '%s': expected the smaller port first", text);
    for (uint64_t p = first; p <= last; p++) {
        own_mem char *port = mem_printf("%llu/%s", (unsigned long long)p, protocol);
        for (char *c = port; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        if (!strv_has(&run->exposed_ports, port))
            strv_add(&run->exposed_ports, port);
    }
    return NULL;
}

static fallible expose(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    own_strv struct strv ports = { 0 };
    struct expand e = build_expand(b, r);
    own_str struct str text = { 0 };
    str_add(&text, "EXPOSE");
    for (size_t k = 0; k < i->args.n; k++)
        TRY(expand_words(&e, i->args.items[k], &ports));
    for (size_t k = 0; k < ports.n; k++) {
        TRY(add_port(r->state->config->config, ports.items[k]));
        str_printf(&text, " %s", ports.items[k]);
    }
    note(b, r, text.text);
    return NULL;
}

static fallible volume(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    struct oci_image_run *run = r->state->config->config;
    own_strv struct strv paths = { 0 };
    for (size_t k = 0; k < i->args.n; k++) {
        own_mem char *path = NULL;
        TRY(build_expand_arg(b, r, i, k, &path));
        if (!*path)
            return err_new(ERR_INVALID, "VOLUME: expected a path that is not empty");
        if (!strv_has(&run->volumes, path))
            strv_add(&run->volumes, path);
        strv_add_take(&paths, take(path));
    }
    own_mem char *quoted = instruct_quoted(&paths), *text = mem_printf("VOLUME %s", quoted);
    note(b, r, text);
    return NULL;
}

static fallible one_text(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    struct oci_image_config *c = r->state->config;
    own_mem char *value = NULL;
    int number;
    if (i->kind == DF_MAINTAINER)
        value = mem_strdup(i->args.items[0]);
    else
        TRY(build_expand_arg(b, r, i, 0, &value));
    own_mem char *text = mem_printf("%s %s", df_kind_name(i->kind), value);
    if (i->kind == DF_STOPSIGNAL)
        TRY_AS(signal_parse(value, &number), "STOPSIGNAL");
    if (i->kind == DF_USER && !*value)
        return err_new(ERR_INVALID, "USER: '%s' is empty: expected a user", i->args.items[0]);
    char **slot = i->kind == DF_MAINTAINER   ? &c->author
                  : i->kind == DF_STOPSIGNAL ? &c->config->stop_signal
                                             : &c->config->user;
    free(*slot);
    *slot = take(value);
    note(b, r, text);
    return NULL;
}

static fallible duration(const struct df_instruction *i, const char *flag, int64_t *ret)
{
    const struct df_flag *f = df_flag(i, flag);
    uint64_t ns = 0;
    if (!f)
        return NULL;
    TRY_AS(parse_duration_ns(f->value, &ns), "HEALTHCHECK --%s", flag);
    if (ns && !f->value[strspn(f->value, "0123456789.")])
        return err_new(ERR_INVALID, "HEALTHCHECK --%s=%s: expected a unit behind the number: '%ss' for seconds", flag,
                       f->value, f->value);
    if (ns && ns < 1000000)
        return err_new(ERR_INVALID, "HEALTHCHECK --%s=%s: expected at least 1ms", flag, f->value);
    *ret = (int64_t)ns;
    return NULL;
}

static fallible healthcheck(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    struct oci_healthcheck h = { 0 };
    TRY(duration(i, "interval", &h.interval));
    TRY(duration(i, "timeout", &h.timeout));
    TRY(duration(i, "start-period", &h.start_period));
    TRY(duration(i, "start-interval", &h.start_interval));
    if (df_flag(i, "retries"))
        TRY_AS(parse_i64(df_flag(i, "retries")->value, 0, INT32_MAX, &h.retries), "HEALTHCHECK --retries");
    struct oci_healthcheck **slot = &r->state->config->config->healthcheck;
    if (*slot)
        strv_free(&(*slot)->test);
    else
        *slot = mem_zalloc(sizeof **slot);
    **slot = h;
    struct strv *test = &(*slot)->test;
    strv_add(test, strcmp(i->args.items[0], "NONE") == 0 ? "NONE" : i->json ? "CMD" : "CMD-SHELL");
    for (size_t k = 1; k < i->args.n; k++)
        strv_add(test, i->args.items[k]);
    note(b, r, i->text);
    return NULL;
}

static fallible onbuild(struct build *b, struct stage_run *r, const struct df_instruction *i)
{
    own_str struct str text = { 0 };
    str_add(&text, i->trigger->text);
    for (size_t k = 0; k < i->trigger->heredocs_n; k++)
        str_printf(&text, "\n%s%s", i->trigger->heredocs[k].text, i->trigger->heredocs[k].name);
    strv_add(&r->state->config->config->on_build, text.text);
    own_mem char *history = mem_printf("ONBUILD %s", text.text);
    note(b, r, history);
    return NULL;
}

fallible instruct(struct build *b, struct stage_run *r, const struct df_instruction *i, bool *ret_done)
{
    *ret_done = true;
    switch (i->kind) {
    case DF_ARG:
        return arg(b, r, i);
    case DF_CMD:
        return cmd(b, r, i);
    case DF_ENTRYPOINT:
        return entrypoint(b, r, i);
    case DF_ENV:
    case DF_LABEL:
        return pairs(b, r, i);
    case DF_EXPOSE:
        return expose(b, r, i);
    case DF_HEALTHCHECK:
        return healthcheck(b, r, i);
    case DF_MAINTAINER:
    case DF_STOPSIGNAL:
    case DF_USER:
        return one_text(b, r, i);
    case DF_ONBUILD:
        return onbuild(b, r, i);
    case DF_SHELL:
        return shell(b, r, i);
    case DF_VOLUME:
        return volume(b, r, i);
    case DF_ADD:
    case DF_COPY:
    case DF_FROM:
    case DF_RUN:
    case DF_WORKDIR:
    case DF_KINDS:
        break;
    }
    *ret_done = false;
    return NULL;
}
