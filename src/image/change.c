// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/change.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { PORTS_MAX = 65535 };

/* Words as a shell splits them: quotes group and are taken away, a backslash takes the next character as it is. */
static fallible split_words(const char *p, struct strv *ret)
{
    for (;;) {
        own_str struct str word = { 0 };
        char quote = 0;
        bool any = false;
        while (isspace((unsigned char)*p))
            p++;
        for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
            any = true;
            if (*p == quote) {
                quote = 0;
            } else if (!quote && (*p == '"' || *p == '\'')) {
                quote = *p;
            } else {
                if (*p == '\\' && quote != '\'' && p[1])
                    p++;
                str_add_char(&word, *p);
            }
        }
        if (quote)
            return err_new(ERR_INVALID, "a quote that is not closed");
        if (!any)
            return NULL;
        strv_add_take(ret, str_take(&word));
    }
}

/* ["a", "b"] as JSON. *ret_is false: it is no array, so it is meant for a shell. */
static fallible json_words(const char *text, struct strv *ret, bool *ret_is)
{
    own_json json_t *doc = NULL;
    *ret_is = false;
    if (*text != '[')
        return NULL;
    own(err) err *e = json_parse("", text, strlen(text), &doc);
    if (e || !json_is_array(doc))
        return NULL; /* as docker does: "[ -x a ] && b" is a shell's */
    for (size_t i = 0; i < json_array_size(doc); i++) {
        const char *word = json_string_value(json_array_get(doc, i));
        if (!word)
            return err_new(ERR_INVALID, "the array holds something that is no string");
        strv_add(ret, word);
    }
    *ret_is = true;
    return NULL;
}

static fallible set_command(struct strv *slot, const char *text, const struct oci_image_run *run)
{
    struct strv words = { 0 };
    bool is_json = false;
    TRY(json_words(text, &words, &is_json));
    if (!is_json) {
        for (size_t i = 0; i < run->shell.n; i++)
            strv_add(&words, run->shell.items[i]);
        if (!run->shell.n) {
            strv_add(&words, "/bin/sh");
            strv_add(&words, "-c");
        }
        strv_add(&words, text);
    }
    strv_free(slot);
    *slot = words;
    return NULL;
}

static fallible do_cmd(const char *text, struct oci_image_run *run)
{
    return set_command(&run->cmd, text, run);
}
static fallible do_entrypoint(const char *text, struct oci_image_run *run)
{
    return set_command(&run->entrypoint, text, run);
}

/* "A=1 B=2", or the old "A the rest of the line" */
static fallible each_pair(const char *text, struct oci_image_run *run,
                          void (*set)(struct oci_image_run *run, const char *key, const char *value))
{
    own_strv struct strv words = { 0 };
    TRY(split_words(text, &words));
    if (words.n > 1 && !strchr(words.items[0], '=')) {
        const char *rest = text + strcspn(text, " \t");
        set(run, words.items[0], rest + strspn(rest, " \t"));
        return NULL;
    }
    for (size_t i = 0; i < words.n; i++) {
        char *equals = strchr(words.items[i], '=');
        if (!equals || equals == words.items[i])
            return err_new(ERR_INVALID, "'%s' is not of the form NAME=VALUE", words.items[i]);
        *equals = '\0';
        set(run, words.items[i], equals + 1);
    }
    return NULL;
}

static void set_env(struct oci_image_run *run, const char *key, const char *value)
{
    own_mem char *assignment = mem_printf("%s=%s", key, value);
    strv_setenv(&run->env, assignment);
}
static fallible do_env(const char *text, struct oci_image_run *run)
{
    return each_pair(text, run, set_env);
}

static void set_label(struct oci_image_run *run, const char *key, const char *value)
{
    strmap_set(&run->labels, key, value);
}
static fallible do_label(const char *text, struct oci_image_run *run)
{
    return each_pair(text, run, set_label);
}

static void add_once(struct strv *list, const char *item)
{
    if (!strv_has(list, item))
        strv_add(list, item);
}

/* "80", "53/udp", "8000-8010/tcp" */
static fallible expose(const char *word, struct oci_image_run *run)
{
    own_strv struct strv parts = { 0 }, range = { 0 };
    uint64_t first = 0, last = 0;
    strv_split(&parts, word, '/');
    const char *protocol = parts.n > 1 ? parts.items[1] : "tcp";
    if (parts.n > 2 || (!str_eq(protocol, "tcp") && !str_eq(protocol, "udp") && !str_eq(protocol, "sctp")))
        return err_new(ERR_INVALID, "'%s' is not of the form PORT[-PORT][/tcp|udp|sctp]", word);
    strv_split(&range, parts.items[0], '-');
    if (range.n < 1 || range.n > 2)
        return err_new(ERR_INVALID, "'%s' is not of the form PORT[-PORT][/tcp|udp|sctp]", word);
    TRY_AS(parse_u64(range.items[0], PORTS_MAX, &first), "port");
    TRY_AS(parse_u64(range.items[range.n - 1], PORTS_MAX, &last), "port");
    if (first > last)
        return err_new(ERR_INVALID, "'%s' ends before it begins", word);
    for (uint64_t port = first; port <= last; port++) {
        own_mem char *text = mem_printf("%u/%s", (unsigned)port, protocol);
        add_once(&run->exposed_ports, text);
    }
    return NULL;
}

static fallible do_expose(const char *text, struct oci_image_run *run)
{
    own_strv struct strv words = { 0 };
    TRY(split_words(text, &words));
    for (size_t i = 0; i < words.n; i++)
        TRY(expose(words.items[i], run));
    return NULL;
}

static fallible do_volume(const char *text, struct oci_image_run *run)
{
    own_strv struct strv words = { 0 };
    bool is_json = false;
    TRY(json_words(text, &words, &is_json));
    if (!is_json)
        TRY(split_words(text, &words));
    for (size_t i = 0; i < words.n; i++)
        add_once(&run->volumes, words.items[i]);
    return NULL;
}

static fallible set_text(char **slot, const char *text)
{
    free(*slot);
    *slot = mem_strdup(text);
    return NULL;
}
static fallible do_user(const char *text, struct oci_image_run *run)
{
    return set_text(&run->user, text);
}
static fallible do_stopsignal(const char *text, struct oci_image_run *run)
{
    return set_text(&run->stop_signal, text);
}
static fallible do_workdir(const char *text, struct oci_image_run *run)
{
    const char *before = run->working_dir ? run->working_dir : "";
    own_mem char *path = *text == '/' ? mem_strdup(text) : mem_printf("%s/%s", str_eq(before, "/") ? "" : before, text);
    return set_text(&run->working_dir, path);
}
static fallible do_onbuild(const char *text, struct oci_image_run *run)
{
    strv_add(&run->on_build, text);
    return NULL;
}

/* "--interval=30s": into the field that it names. */
static fallible health_option(const char *text, struct oci_healthcheck *h)
{
    static const struct {
        const char *name;
        size_t offset;
    } durations[] = {
        { "--interval=", offsetof(struct oci_healthcheck, interval) },
        { "--timeout=", offsetof(struct oci_healthcheck, timeout) },
        { "--start-period=", offsetof(struct oci_healthcheck, start_period) },
        { "--start-interval=", offsetof(struct oci_healthcheck, start_interval) },
    };
    for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
        uint64_t ns = 0;
        if (!str_starts(text, durations[i].name))
            continue;
        TRY_AS(parse_duration_ns(text + strlen(durations[i].name), &ns), "%s", durations[i].name);
        *(int64_t *)((char *)h + durations[i].offset) = (int64_t)ns;
        return NULL;
    }
    if (str_starts(text, "--retries="))
        return parse_i64(text + strlen("--retries="), 0, 1000000, &h->retries);
    return err_new(ERR_INVALID,
                   "'%s' is not one of --interval=, --timeout=, --start-period=, --start-interval=, --retries=", text);
}

static fallible health_test(const char *text, struct strv *test)
{
    bool is_json = false;
    size_t n = strcspn(text, " \t");
    const char *command = text + n + strspn(text + n, " \t");
    if (n == 4 && strncasecmp(text, "NONE", 4) == 0 && !*command) {
        strv_add(test, "NONE");
        return NULL;
    }
    if (n != 3 || strncasecmp(text, "CMD", 3) != 0 || !*command)
        return err_new(ERR_INVALID, "'%s' is neither NONE nor CMD and a command", text);
    strv_add(test, "CMD");
    TRY(json_words(command, test, &is_json));
    if (is_json)
        return NULL;
    strv_free(test);
    strv_add(test, "CMD-SHELL");
    strv_add(test, command);
    return NULL;
}

/* Source: Dockerfile reference, HEALTHCHECK. */
static fallible do_healthcheck(const char *text, struct oci_image_run *run)
{
    struct oci_healthcheck h = { 0 };
    while (str_starts(text, "--")) {
        size_t n = strcspn(text, " \t");
        own_mem char *option = mem_strndup(text, n);
        TRY(health_option(option, &h));
        text += n + strspn(text + n, " \t");
    }
    err *e = health_test(text, &h.test);
    if (e) {
        strv_free(&h.test);
        return e;
    }
    if (run->healthcheck)
        strv_free(&run->healthcheck->test);
    else
        run->healthcheck = mem_zalloc(sizeof *run->healthcheck);
    *run->healthcheck = h;
    return NULL;
}

static const struct {
    const char *word;
    err *(*apply)(const char *text, struct oci_image_run *run);
} instructions[] = {
    { "CMD", do_cmd },         { "ENTRYPOINT", do_entrypoint },   { "ENV", do_env },
    { "EXPOSE", do_expose },   { "HEALTHCHECK", do_healthcheck }, { "LABEL", do_label },
    { "ONBUILD", do_onbuild }, { "STOPSIGNAL", do_stopsignal },   { "USER", do_user },
    { "VOLUME", do_volume },   { "WORKDIR", do_workdir },
};

fallible change_apply(const char *line, struct oci_image_run *run)
{
    line += strspn(line, " \t\n");
    size_t n = strcspn(line, " \t\n");
    own_mem char *text = mem_strdup(line + n + strspn(line + n, " \t\n"));
    for (size_t end = strlen(text); end > 0 && isspace((unsigned char)text[end - 1]);)
        text[--end] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
        if (strlen(instructions[i].word) != n || strncasecmp(line, instructions[i].word, n) != 0)
            continue;
        if (!*text)
            return err_new(ERR_INVALID, "%s: what follows is missing", instructions[i].word);
        TRY_AS(instructions[i].apply(text, run), "%s", instructions[i].word);
        return NULL;
    }
    return err_new(ERR_INVALID,
                   "'%.*s' is no change that can be made: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, "
                   "ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR",
                   (int)(n < 40 ? n : 40), line);
}
