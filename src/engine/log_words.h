/*
 * log_words.h: what a container's lines carry beside their text: its tag, and the labels and variables that were asked
 * for, as docker's --log-opt has them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_LOG_WORDS_H
#define HUSK_ENGINE_LOG_WORDS_H

#include "engine/container.h"

struct log_words {
    char *attrs;  /* for the file (monitor/line.h), or NULL */
    char *fields; /* for the journal (monitor/journal.h), or NULL */
    char *socket; /* the journal's, or NULL */
};
/* Errors: INVALID for a tag that is no template; UNAVAILABLE when there is no journal here. */
fallible log_words_make(const struct container *c, struct log_words *ret);
void log_words_clear(struct log_words *w);

#endif
