/*
 * check.h: BuildKit's lint rules, by their names, over a Dockerfile: warnings of every build, all of it for --check.
 * Source: docs.docker.com/reference/build-checks.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_CHECK_H
#define HUSK_BUILD_CHECK_H

#include "build/build_parts.h"

/* Tells what it finds. *ret_stop: --check, and nothing is to be built. INVALID: it found something, and "#
 * check=error=true" or --check says that this is an error. Also: a "# syntax=" that is not this language. */
fallible check_file(struct build *b, bool *ret_stop);

#endif
