/*
 * log.h: decisions, retries, fallbacks. Never the only place where a failure shows: errors are returned.
 *
 * Level and form are the process's own (HUSK_LOG=debug, --debug, --log-format json); text goes to stderr unless a
 * log file is set.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BASE_LOG_H
#define HUSK_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_form { LOG_FORM_TEXT, LOG_FORM_JSON, LOG_FORM_SYSLOG };

/* Default WARN, or what HUSK_LOG says (error, warn, info, debug). */
void log_set_level(enum log_level level);
enum log_level log_level(void);
/* @fd: borrowed, must stay open; 2 is the default. */
void log_set_output(int fd, enum log_form form);
/* To the system's log: each line is one datagram "<PRIORITY>IDENTIFIER: text" (RFC 3164, as syslog(3) sends it) to a
 * connected socket. identifier: borrowed, must stay. */
void log_set_syslog(int fd, const char *identifier);
/* False when the word is no level. */
bool log_level_parse(const char *word, enum log_level *ret_level);

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
    do {                                                                                                               \
        if (log_level() >= LOG_LEVEL_DEBUG)                                                                            \
            log_at(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                                      \
    } while (0)

void log_at(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
