/*
 * landlock.h: what a program may reach beyond what its container has: Landlock rules from a text.
 *
 * The runtime specification has no Landlock. husk takes the rules from the annotation "husk.landlock" (and the command
 * line's --security-opt landlock=, which sets it): words divided by commas, each KEY:VALUE.
 *
 *   ro:PATH       read files and list directories at and below PATH (as the container sees it)
 *   rw:PATH       the same, and write, make, remove, rename, truncate, device ioctls
 *   exec:PATH     read and execute
 *   bind:PORT     bind a TCP socket to PORT; bind:none: to none
 *   connect:PORT  connect a TCP socket to PORT; connect:none: to none
 *   scope:signal  signals reach only processes of the same or a narrower domain
 *   scope:abstract  so do connections to abstract unix sockets
 *   unconfined    no rules, alone
 *
 * What no word speaks of is not restricted: without a path word files are as ever, with one everything that no path
 * word allows is denied. Several words for one path add up. Rules hold for the program and all its children, and for
 * `exec`; there is no way out of them. Source: landlock(7), Documentation/userspace-api/landlock.rst.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_PROCESS_LANDLOCK_H
#define HUSK_PROCESS_LANDLOCK_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

#define LANDLOCK_ANNOTATION "husk.landlock"

struct landlock_rule {
    char *path; /* NULL: a port */
    uint64_t access, port;
};
struct landlock_rules {
    uint64_t fs, net, scoped; /* what is handled: all of it is denied but for the rules */
    struct landlock_rule *rules;
    size_t n;
};
void landlock_rules_clear(struct landlock_rules *r);
static inline void own_drop_landlock_rules(struct landlock_rules *r)
{
    landlock_rules_clear(r);
}

/* INVALID names the word. NULL and "unconfined": nothing is handled. */
fallible landlock_rules_read(const char *text, struct landlock_rules *ret);
/* UNSUPPORTED, with the version that has it, when this kernel could not enforce all of it. Takes rights that are newer
 * than the kernel, and that no word names, out of r. */
fallible landlock_rules_fit(struct landlock_rules *r);
/* Whether the words, read as text, let path be executed: links are not followed. */
bool landlock_rules_execute(const struct landlock_rules *r, const char *path);

#endif
