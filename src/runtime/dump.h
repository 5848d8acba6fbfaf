/*
 * dump.h: what checkpoint and restore have in common: CRIU's options, and what is kept beside its images because it
 * does not keep it itself. Of this chapter only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_RUNTIME_DUMP_H
#define HUSK_RUNTIME_DUMP_H

#include "runtime/start.h"

#define DUMP_LOG    "dump.log"
#define RESTORE_LOG "restore.log"

/* Those that both verbs take; log: a name below the work directory. INVALID: a word that CRIU does not know. */
fallible dump_add_options(const struct runtime_criu *how, const char *log, struct str *o);

/* What standard input, output and error were: pipes among them lead outside, and ours (-1: our own 0, 1, 2) take their
 * place. anew: a restore connects them, so open files outside are named, too. */
fallible dump_keep_descriptors(const struct runtime_state *s, bool anew, int images_fd, struct str *o);
void dump_add_descriptors(int images_fd, const int fds[static 3], struct str *o);

/* What the program may, and whether it may exactly that after a restore. UNSUPPORTED: CRIU left something out. */
fallible dump_keep_rights(pid_t pid, int images_fd);
fallible dump_check_rights(pid_t pid, int images_fd);

/* Namespaces of others, by the keys under which they are handed in again. */
enum { DUMP_OUTSIDE_N = 2 };
struct dump_outside {
    uint64_t flag;
    const char *type, *file, *key;
};
extern const struct dump_outside dump_outside[DUMP_OUTSIDE_N];

#endif
