/*
 * banned.h: calls that husk does not use, each with what to use instead. Force-included into every file of ours.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BASE_BANNED_H
#define HUSK_BASE_BANNED_H

/* The declarations must be seen before the names are poisoned. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#undef basename

#pragma GCC poison strcpy   /* mem_strdup, snprintf */
#pragma GCC poison strcat   /* struct str */
#pragma GCC poison sprintf  /* snprintf, mem_printf */
#pragma GCC poison vsprintf /* mem_vprintf */
#pragma GCC poison strtok   /* strv_split */
#pragma GCC poison atoi     /* parse_i64 */
#pragma GCC poison atol     /* parse_i64 */
#pragma GCC poison gets     /* getline */
#pragma GCC poison system   /* spawn_* of os/spawn.h */
#pragma GCC poison popen    /* spawn_* of os/spawn.h */

#endif
