/*
 * seccomp_words.h: what the words and names of a seccomp object are in numbers.
 *
 * Source: runtime-spec config-linux.md "Seccomp"; seccomp(2); the kernel's scripts/syscall.tbl.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_PROCESS_SECCOMP_WORDS_H
#define HUSK_PROCESS_SECCOMP_WORDS_H

#include "base/opt.h"
#include "process/seccomp.h"

enum { SECCOMP_X32_BIT = 0x40000000 }; /* in the number of a system call */

/* Errors: INVALID, missing or unknown, with the nearest known one. */
fallible seccomp_operator_value(const char *word, uint32_t *ret); /* enum bpf_cmp */
fallible seccomp_arch_value(const char *word, uint32_t *ret);     /* AUDIT_ARCH_*, which libseccomp's tokens are */
fallible seccomp_flag_value(const char *word, uint32_t *ret);     /* SECCOMP_FILTER_FLAG_* */
/* An action and its errno: SECCOMP_RET_*. INVALID also for an errno that it does not take, or too large a one. */
fallible seccomp_action_value(const char *what, const char *word, const struct opt_u64 *errno_ret, uint32_t *ret);

/* A call that i386 also reaches through socketcall(2) or ipc(2), with a number as its first argument. */
struct seccomp_multiplexed {
    const char *name;
    int number; /* of its own, or -1 */
    int call;   /* socketcall or ipc */
    uint32_t first_argument;
};
const struct seccomp_multiplexed *seccomp_multiplexed(const char *name); /* or NULL */

#endif
