// SPDX-License-Identifier: GPL-2.0-or-later
/* --log-driver and --log-opt: docker's words, and podman's for the same. */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "engine/options.h"

#define DAY_S 86400ll

enum { LOG_DEFAULT_BUFFER = 1 << 20, LOG_BUFFER_LEAST = 64 << 10, LOG_BUFFER_MOST = 1 << 30 };

/* Names of other engines' drivers that are files as well. */
static const char *driver_of(const char *word)
{
    static const char *const files[] = { "local", "k8s-file", "json" };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (strcmp(word, files[i]) == 0)
            return "json-file";
    return word;
}

static fallible check_driver(const char *word)
{
    static const char *const known[] = { "json-file", "journald", "passthrough", "none" };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (strcmp(word, known[i]) == 0)
            return NULL;
    return err_new(ERR_INVALID,
                   "--log-driver: '%s' is not one of json-file (local and k8s-file are the same), journald, "
                   "passthrough, none: what goes over the network is a log shipper's work, which reads the journal or "
                   "the file that inspect names",
                   word);
}

static fallible max_size(const char *value, struct container_log *log)
{
    if (str_eq(value, "-1")) {
        log->max_bytes = -1;
        return NULL;
    }
    TRY(parse_bytes(value, &log->max_bytes));
    return log->max_bytes < 4096 ? err_new(ERR_INVALID, "'max-size=%s': at least 4k", value) : NULL;
}

static fallible max_file(const char *value, struct container_log *log)
{
    return parse_i64(value, 1, 1000, &log->max_files);
}

/* "30d", or Go's "720h"; -1: no limit. */
static fallible max_age(const char *value, struct container_log *log)
{
    size_t n = strlen(value);
    uint64_t ns = 0;
    if (str_eq(value, "-1")) {
        log->max_age_s = 0;
        return NULL;
    }
    if (n > 1 && value[n - 1] == 'd') {
        own_mem char *days = mem_strndup(value, n - 1);
        TRY(parse_i64(days, 1, 36500, &log->max_age_s));
        log->max_age_s *= DAY_S;
        return NULL;
    }
    TRY(parse_duration_ns(value, &ns));
    log->max_age_s = (int64_t)(ns / 1000000000);
    return log->max_age_s < 1 ? err_new(ERR_INVALID, "'max-age=%s': at least 1s", value) : NULL;
}

static fallible tag(const char *value, struct container_log *log)
{
    free(log->tag);
    log->tag = mem_strdup(value);
    return NULL;
}

static fallible labels(const char *value, struct container_log *log)
{
    strv_split(&log->labels, value, ',');
    return NULL;
}

static fallible env(const char *value, struct container_log *log)
{
    strv_split(&log->env, value, ',');
    return NULL;
}

/* POSIX's extended ones. Go's differ in what begins with "(?", which is an error here. */
static fallible regex(const char *key, const char *value, char **ret)
{
    regex_t compiled;
    char why[128];
    int code = regcomp(&compiled, value, REG_EXTENDED | REG_NOSUB);
    if (code) {
        (void)regerror(code, &compiled, why, sizeof why);
        return err_new(ERR_INVALID, "'%s=%s' is no extended regular expression: %s", key, value, why);
    }
    regfree(&compiled);
    free(*ret);
    *ret = mem_strdup(value);
    return NULL;
}

static fallible labels_regex(const char *value, struct container_log *log)
{
    return regex("labels-regex", value, &log->labels_regex);
}

static fallible env_regex(const char *value, struct container_log *log)
{
    return regex("env-regex", value, &log->env_regex);
}

/* A file takes what is written at once, and drops and counts what does not fit on the disk: only the journal may have
 * a program wait. */
static fallible mode(const char *value, struct container_log *log)
{
    if (str_eq(value, "non-blocking"))
        log->buffer = log->buffer ? log->buffer : LOG_DEFAULT_BUFFER;
    else if (str_eq(value, "blocking"))
        log->buffer = 0;
    else
        return err_new(ERR_INVALID, "'mode=%s' is neither blocking nor non-blocking", value);
    return NULL;
}

static fallible max_buffer(const char *value, struct container_log *log)
{
    TRY(parse_bytes(value, &log->buffer));
    return log->buffer < LOG_BUFFER_LEAST || log->buffer > LOG_BUFFER_MOST
               ? err_new(ERR_INVALID, "'max-buffer-size=%s': 64k to 1g", value)
               : NULL;
}

static fallible compress(const char *value, struct container_log *log)
{
    return parse_bool(value, &log->compress);
}

static fallible path(const char *value, struct container_log *log)
{
    return err_new(ERR_INVALID,
                   "'path=%s': a log stays with its container, so that it goes with it: inspect's LogPath "
                   "names the file",
                   value);
}

static fallible merge_log_opt(const char *text, struct container_log *log)
{
    static const struct {
        const char *key;
        err *(*read)(const char *value, struct container_log *log);
    } keys[] = { { "max-size", max_size },   { "max-file", max_file },
                 { "max-age", max_age },     { "tag", tag },
                 { "labels", labels },       { "env", env },
                 { "mode", mode },           { "labels-regex", labels_regex },
                 { "env-regex", env_regex }, { "max-buffer-size", max_buffer },
                 { "path", path },           { "compress", compress } };
    size_t n = strcspn(text, "=");
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (text[n] && strlen(keys[i].key) == n && strncmp(text, keys[i].key, n) == 0)
            return keys[i].read(text + n + 1, log);
    return err_new(ERR_INVALID,
                   "'%s' is not one of max-size=BYTES, max-file=N, max-age=30d, compress=true, tag=TEMPLATE, "
                   "labels=A,B, labels-regex=RE, "
                   "env=A,B, env-regex=RE, mode=blocking|non-blocking, max-buffer-size=BYTES",
                   text);
}

fallible options_merge_log(const struct create_options *o, struct container_config *c)
{
    const char *driver = driver_of(o->log_driver && *o->log_driver ? o->log_driver : "json-file");
    c->log = mem_zalloc(sizeof *c->log);
    *c->log = (struct container_log){ .driver = mem_strdup(driver),
                                      .max_bytes = LOG_DEFAULT_MAX_BYTES,
                                      .max_files = LOG_DEFAULT_MAX_FILES,
                                      .max_age_s = LOG_DEFAULT_MAX_AGE_S };
    TRY(check_driver(driver));
    bool buffered = false, blocking = true;
    for (size_t i = 0; i < o->log_opt.n; i++) {
        const char *opt = o->log_opt.items[i];
        TRY_AS(merge_log_opt(opt, c->log), "--log-opt");
        buffered |= str_starts(opt, "max-buffer-size=");
        if (str_starts(opt, "mode="))
            blocking = str_eq(opt, "mode=blocking");
    }
    if (c->log->compress && (c->log->max_files < 2 || c->log->max_bytes < 0))
        return err_new(ERR_INVALID,
                       "--log-opt: compress is for logs that are rotated: with a max-size, and max-file of at least 2");
    if (buffered && blocking)
        return err_new(ERR_INVALID, "--log-opt: max-buffer-size is for mode=non-blocking");
    if (strcmp(driver, "passthrough") == 0 && o->tty)
        return err_new(ERR_INVALID, "--log-driver passthrough and --tty exclude each other");
    if (strcmp(driver, "passthrough") == 0 && c->restart)
        return err_new(ERR_INVALID, "--log-driver passthrough and --restart exclude each other: at the next start the "
                                    "streams that it passes on are gone");
    return NULL;
}
