/*
 * paths.h: where husk keeps what lasts and what lives.
 *
 *   root   $HUSK_ROOT, or /var/lib/husk for root, or ${XDG_DATA_HOME:-~/.local/share}/husk
 *            index.json, blobs/, layers/   the image store (image/layout.h)
 *            husk.db                       names (engine/db.h)
 *            containers/<id>/              one folder per container (engine/container.h)
 *            volumes/<name>/_data/         named volumes
 *            trash/                        what was removed and can be had back (engine/trash.h)
 *   run    $HUSK_RUN, or /run/husk for root, or $XDG_RUNTIME_DIR/husk; where that is not said (cron, su)
 * /run/user/<uid>/husk if the first is there, else /tmp/husk-<uid>, which those who have another then use too until the
 * next boot <id>/                         what dies with the machine: state.json, attach.sock seccomp/ compiled filters
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_PATHS_H
#define HUSK_ENGINE_PATHS_H

#include "base/err.h"

/* Absolute, without a trailing slash. Caller frees. */
fallible paths_root(char **ret);
/* The same for the run-time folder; nothing is made. */
fallible paths_run(char **ret);
/* Makes the run-time folder (mode 0700) and checks that it is ours alone: in /tmp another user may have laid it first.
 * Errors: DENIED with the cure. */
fallible paths_open_run(const char *path, int *ret_fd);
/* Answers path as an absolute one, relative to our working directory. Caller frees. */
fallible paths_absolute(const char *path, char **ret);
/* "/a//b/./c/../d/" -> "/a/b/d", as text; for paths inside a container. path is absolute. Caller frees. */
char *paths_clean(const char *path);

#endif
