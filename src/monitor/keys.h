/*
 * keys.h: the keys that detach a terminal from a container, in docker's syntax: "ctrl-p,ctrl-q", "a,b", "ctrl-@".
 *
 * Keys that may be the beginning of the sequence are held back until it is clear that they are not.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_KEYS_H
#define HUSK_MONITOR_KEYS_H

#include <stddef.h>

#include "base/err.h"

enum { KEYS_MAX = 32 };
#define KEYS_DEFAULT "ctrl-p,ctrl-q"

struct keys {
    unsigned char sequence[KEYS_MAX];
    size_t n;       /* 0: nothing detaches */
    size_t matched; /* of these, typed and held back */
};

/* NULL: the default. INVALID names the word that is no key. */
fallible keys_parse(const char *text, struct keys *ret);
/**
 * keys_filter - what of the typed bytes goes on to the program.
 * @out: n + KEYS_MAX bytes. True: the sequence is complete; what came before it is in out, what came after is dropped.
 */
bool keys_filter(struct keys *k, const char *typed, size_t n, char *out, size_t *ret_n);

#endif
