// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

static const char *const level_words[] = { "error", "warn", "info", "debug" };

/* Process-wide by nature, and set once before any work. */
static struct {
    bool set;
    enum log_level level;
    enum log_form form;
    int fd;
    const char *identifier;
} state = { .level = LOG_LEVEL_WARN, .fd = STDERR_FILENO };

void log_set_level(enum log_level level)
{
    state.level = level;
    state.set = true;
}

enum log_level log_level(void)
{
    if (!state.set) {
        const char *word = getenv("HUSK_LOG");
        enum log_level level = LOG_LEVEL_WARN;
        if (word)
            (void)log_level_parse(word, &level);
        log_set_level(level);
    }
    return state.level;
}

void log_set_output(int fd, enum log_form form)
{
    state.fd = fd;
    state.form = form;
}

void log_set_syslog(int fd, const char *identifier)
{
    log_set_output(fd, LOG_FORM_SYSLOG);
    state.identifier = identifier;
}

bool log_level_parse(const char *word, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_words); i++) {
        if (strcmp(word, level_words[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void add_json_string(struct str *line, const char *text)
{
    str_add_char(line, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            str_printf(line, "\\%c", *p);
        else if (*p == '\n')
            str_add(line, "\\n");
        else if (*p < 0x20)
            str_printf(line, "\\u%04x", *p);
        else
            str_add_char(line, (char)*p);
    }
    str_add_char(line, '"');
}

void log_at(enum log_level level, const char *format, ...)
{
    if (level > log_level())
        return;
    va_list ap;
    va_start(ap, format);
    own_mem char *text = mem_vprintf(format, ap);
    va_end(ap);

    own_str struct str line = { 0 };
    if (state.form == LOG_FORM_SYSLOG) {
        static const int severities[] = { 3, 4, 6, 7 };
        enum { FACILITY_USER = 1 };
        str_printf(&line, "<%d>%s: %s", FACILITY_USER << 3 | severities[level], state.identifier, text);
    } else if (state.form == LOG_FORM_JSON) {
        struct timespec now;
        struct tm tm;
        char when[32];
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
        str_add(&line, "{\"level\":");
        add_json_string(&line, level_words[level]);
        str_add(&line, ",\"msg\":");
        add_json_string(&line, text);
        str_printf(&line, ",\"time\":\"%s.%09ldZ\"}\n", when, now.tv_nsec);
    } else {
        for (char *p = text; *p; p++) /* names that strangers chose must not act on a terminal */
            if ((unsigned char)*p < ' ' || *p == 0x7f)
                *p = *p == '\n' || *p == '\t' ? *p : '?';
        str_printf(&line, "husk: %s: %s\n", level_words[level], text);
    }
    /* One write: lines of processes that share the file do not mix. A log that cannot be written stops nothing. */
    ssize_t ignored = write(state.fd, line.text, line.len);
    (void)ignored;
}
