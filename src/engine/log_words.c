// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/log_words.h"

#include <ctype.h>
#include <regex.h>
#include <string.h>
#include <unistd.h>

#include "codec/template.h"
#include "monitor/journal.h"

#define DEFAULT_TAG "{{.ID}}"

void log_words_clear(struct log_words *w)
{
    free(w->attrs);
    free(w->fields);
    free(w->socket);
    *w = (struct log_words){ 0 };
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

/* What {{.ImageName}} and the like mean. Source: moby, daemon/logger/loginfo.go. */
static fallible make_tag(const struct container *c, const char *template, struct str *out)
{
    const struct container_config *k = c->config;
    own_str struct str command = { 0 };
    for (size_t i = 0; i < k->entrypoint.n; i++)
        str_printf(&command, "%s%s", command.len ? " " : "", k->entrypoint.items[i]);
    for (size_t i = 0; i < k->cmd.n; i++)
        str_printf(&command, "%s%s", command.len ? " " : "", k->cmd.items[i]);
    const char *image_id = c->row.image_id ? digest_hex(c->row.image_id) : "";
    own_mem char *id = mem_printf("%.12s", c->row.id), *short_image = mem_printf("%.12s", image_id);
    own_json json_t *doc =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "ID", id, "FullID", c->row.id, "Name", c->row.name,
                  "ImageID", short_image, "ImageFullID", image_id, "ImageName", text_or_empty(c->row.image), "Command",
                  text_or_empty(command.text), "DaemonName", "husk");
    if (!doc)
        return err_new(ERR_INVALID, "--log-opt tag: its container's words are no UTF-8");
    TRY_AS(template_render(template, doc, TEMPLATE_VALUES, out), "--log-opt tag");
    return NULL;
}

static const char *variable(const struct container_config *k, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < k->env.n; i++)
        if (strncmp(k->env.items[i], name, n) == 0 && k->env.items[i][n] == '=')
            return k->env.items[i] + n + 1;
    return NULL;
}

typedef void word_fn(void *ctx, const char *key, const char *value);

/* Those that are listed come once. What is compiled here was compiled when it was set. */
static void each_fitting(const struct container_config *k, word_fn *fn, void *ctx)
{
    regex_t re;
    if (k->log->labels_regex && regcomp(&re, k->log->labels_regex, REG_EXTENDED | REG_NOSUB) == 0) {
        for (size_t i = 0; i < k->labels.n; i++)
            if (!strv_has(&k->log->labels, k->labels.items[i].key) &&
                regexec(&re, k->labels.items[i].key, 0, NULL, 0) == 0)
                fn(ctx, k->labels.items[i].key, k->labels.items[i].value);
        regfree(&re);
    }
    if (!k->log->env_regex || regcomp(&re, k->log->env_regex, REG_EXTENDED | REG_NOSUB) != 0)
        return;
    for (size_t i = 0; i < k->env.n; i++) {
        const char *equals = strchr(k->env.items[i], '=');
        own_mem char *name = mem_strndup(k->env.items[i], equals ? (size_t)(equals - k->env.items[i]) : 0);
        if (equals && !strv_has(&k->log->env, name) && regexec(&re, name, 0, NULL, 0) == 0)
            fn(ctx, name, equals + 1);
    }
    regfree(&re);
}

static void each_extra(const struct container_config *k, word_fn *fn, void *ctx)
{
    for (size_t i = 0; i < k->log->labels.n; i++) {
        const char *value = strmap_get(&k->labels, k->log->labels.items[i]);
        if (value)
            fn(ctx, k->log->labels.items[i], value);
    }
    for (size_t i = 0; i < k->log->env.n; i++) {
        const char *value = variable(k, k->log->env.items[i]);
        if (value)
            fn(ctx, k->log->env.items[i], value);
    }
    each_fitting(k, fn, ctx);
}

static void add_attr(void *ctx, const char *key, const char *value)
{
    (void)json_object_set_new(ctx, key, json_string(value));
}

static fallible make_attrs(const struct container *c, char **ret)
{
    own_json json_t *attrs = json_object();
    own_str struct str tag = { 0 };
    if (c->config->log->tag) {
        TRY(make_tag(c, c->config->log->tag, &tag));
        add_attr(attrs, "tag", text_or_empty(tag.text));
    }
    each_extra(c->config, add_attr, attrs);
    if (json_object_size(attrs) == 0)
        return NULL;
    own_mem char *text = json_dumps(attrs, JSON_COMPACT);
    if (strlen(text) > LINE_ATTRS_MAX)
        return err_new(ERR_INVALID, "--log-opt: tag, labels and env of each line are longer than %d bytes",
                       LINE_ATTRS_MAX);
    *ret = take(text);
    return NULL;
}

/* A field's name is of capitals, digits and '_', and begins with neither of the latter. */
static void add_field(void *ctx, const char *key, const char *value)
{
    struct str *out = ctx;
    while (*key && !isalpha((unsigned char)*key))
        key++;
    if (!*key)
        return;
    for (; *key; key++)
        str_add_char(out, isalnum((unsigned char)*key) ? (char)toupper((unsigned char)*key) : '_');
    str_add_char(out, '=');
    for (; *value; value++)
        str_add_char(out, *value == '\n' ? ' ' : *value);
    str_add_char(out, '\n');
}

static fallible make_fields(const struct container *c, char **ret)
{
    own_str struct str out = { 0 }, tag = { 0 };
    const char *template = c->config->log->tag ? c->config->log->tag : DEFAULT_TAG;
    own_mem char *id = mem_printf("%.12s", c->row.id);
    TRY(make_tag(c, template, &tag));
    const struct {
        const char *key, *value;
    } fields[] = { { "CONTAINER_ID", id },
                   { "CONTAINER_ID_FULL", c->row.id },
                   { "CONTAINER_NAME", c->row.name },
                   { "CONTAINER_TAG", text_or_empty(tag.text) },
                   { "IMAGE_NAME", text_or_empty(c->row.image) },
                   { "SYSLOG_IDENTIFIER", text_or_empty(tag.text) } };
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        add_field(&out, fields[i].key, fields[i].value);
    each_extra(c->config, add_field, &out);
    *ret = str_take(&out);
    return NULL;
}

static fallible find_journal(char **ret)
{
    const char *path = getenv("HUSK_JOURNAL_SOCKET");
    if (!path || !*path)
        path = JOURNAL_SOCKET;
    if (access(path, W_OK) < 0)
        return err_new(ERR_UNAVAILABLE,
                       "--log-driver journald: there is no journal at '%s': use json-file, or start systemd-journald",
                       path);
    *ret = mem_strdup(path);
    return NULL;
}

fallible log_words_make(const struct container *c, struct log_words *ret)
{
    struct log_words w = { 0 };
    const char *driver = c->config->log->driver;
    bool journal = strcmp(driver, "journald") == 0;
    err *e = journal || strcmp(driver, "json-file") == 0 ? make_attrs(c, &w.attrs) : NULL;
    if (!e && journal)
        e = find_journal(&w.socket);
    if (!e && journal)
        e = make_fields(c, &w.fields);
    if (e) {
        log_words_clear(&w);
        return e;
    }
    *ret = w;
    return NULL;
}
