/*
 * add.h: what ADD can beyond COPY: archives of the context are unpacked, files are fetched from http and https, and git
 * repositories are cloned. Source: dockerfile-reference.md "ADD".
 *
 * Archives are unpacked in a process that may write its directory and nothing else (Landlock); downloads are
 * husk-image's, which confines itself; git is the program of that name.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_ADD_H
#define HUSK_BUILD_ADD_H

#include "build/build_parts.h"

/* Takes what is remote out of s->patterns. */
fallible add_plan(struct build_step *s, struct step_parts *parts);
/* job: the sources that are left. dir: of the step, for what is fetched and unpacked. */
fallible add_work(struct build_step *s, struct copy_target *t, const struct copy_job *job, const char *dir,
                  bool into_dir);

/* Is a file a tar, packed or not? It is at its beginning afterwards. */
fallible add_is_archive(int fd, bool *ret);
/* A tar, packed or not, into a directory, by a process that may write nothing else. */
fallible add_unpack(int fd, int dir_fd);

#endif
