/*
 * outfile.h: a file that appears when it is whole, and not at all when its writer fails or is killed. It is put
 * in place (or removed) by a small process that was started before the writer confined itself, so the writer needs no
 * right over the folder.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_OUTFILE_H
#define HUSK_CLI_OUTFILE_H

#include <sys/types.h>

#include "base/err.h"

struct outfile;
/* mode: of a new file. A path that is a pipe or a device is simply written to. Before any thread. */
fallible outfile_open(const char *path, mode_t mode, struct outfile **ret);
/* A descriptor to write to; the caller closes it. -1: errno. */
int outfile_fd(const struct outfile *f);
fallible outfile_finish(struct outfile *f);
/* What it holds is this text and nothing else. NULL: nobody asked for the file. */
fallible outfile_finish_text(struct outfile *f, const char *text);
void outfile_free(struct outfile *f);
OWN_TYPE(outfile, struct outfile *, outfile_free)

#endif
