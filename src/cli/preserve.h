/*
 * preserve.h: descriptors of ours that become a program's: --preserve-fds N (those from 3 on) and --preserve-fd LIST.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_PRESERVE_H
#define HUSK_CLI_PRESERVE_H

#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"

/**
 * preserve_fds - look whether all are open, before husk opens any of its own, which would have the numbers that are
 * free; and close what is between them.
 * @list: numbers, separated by commas in each.
 * @ret_n: how many from 3 on are handed on. Between those of the list is /dev/null, which goes with exec(2).
 */
fallible preserve_fds(struct opt_i64 n, const struct strv *list, int *ret_n);

#endif
