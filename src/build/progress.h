/*
 * progress.h: what a build tells on stderr while it works: plain lines as BuildKit's ("#3 [build 2/4] RUN make",
 * "#3 0.512 output", "#3 DONE 0.8s", "#3 CACHED"), or on a terminal the steps at work redrawn below those that are
 * done. "rawjson" is BuildKit's too: each line a SolveStatus as JSON. Source: buildkit, client/graph.go.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_PROGRESS_H
#define HUSK_BUILD_PROGRESS_H

#include <stddef.h>

#include "base/err.h"

struct progress_out;
/* @kind: "auto", "plain", "tty", "rawjson", "quiet". INVALID. */
fallible progress_out_new(const char *kind, struct progress_out **ret);
void progress_out_free(struct progress_out *p);
OWN_TYPE(progress_out, struct progress_out *, progress_out_free)

enum progress_end { PROGRESS_DONE, PROGRESS_CACHED, PROGRESS_FAILED };
void progress_step(struct progress_out *p, int number, const char *title);
/* Bytes that its program printed. */
void progress_output(struct progress_out *p, int number, const char *bytes, size_t n);
/* @note: behind DONE, or why it failed; NULL for none. */
void progress_end(struct progress_out *p, int number, enum progress_end how, const char *note);
/* A line about the build itself. */
void progress_note(struct progress_out *p, const char *text);
/* Redraws, on a terminal; called now and then. */
void progress_tick(struct progress_out *p);
/* The last lines that a step printed, for an error when they were not shown. Borrowed. */
const char *progress_tail(const struct progress_out *p, int number);

#endif
