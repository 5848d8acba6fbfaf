/*
 * speak.h: what PID 1 says about itself, as much as it is told to: -v, TINI_VERBOSITY. Warnings go to standard error
 * and the rest to standard output, as tini's do. What it can't write is lost: it never waits for a terminal (TTOU is
 * ignored) and never ends for it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_INIT_SPEAK_H
#define HUSK_INIT_SPEAK_H

#include "init/pid1.h"

enum speak_level { SPEAK_WARN = 1, SPEAK_INFO, SPEAK_DEBUG, SPEAK_TRACE };

/* "[LEVEL husk-init (PID)] BEFORE OBJECT NUMBER AFTER" without the blanks: OBJECT and AFTER may be NULL, NUMBER below 0
 * is none. */
void speak(const struct pid1 *p, enum speak_level level, const char *before, const char *object, long number,
           const char *after);
/* The same about a signal, by its name. */
void speak_signal(const struct pid1 *p, enum speak_level level, const char *before, long signal);

/* "SIGTERM", "TERM" or "15", in any case; -1: none such. A real-time signal has only its number. */
long signal_parse(const char *name);

#endif
