/*
 * emulate.h: programs for other machines: the kernel hands them to an interpreter (qemu-user) where binfmt_misc was
 * told so. Source: Documentation/admin-guide/binfmt-misc.rst; elf(5).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_EMULATE_H
#define HUSK_BUILD_EMULATE_H

#include <stdbool.h>

#include "base/err.h"

/* Can this machine run programs for "linux/arm64"? UNSUPPORTED with the cure. */
fallible emulate_check(const char *platform);
/* Is an entry of binfmt_misc, as the kernel shows it, enabled and for programs of this architecture ("arm64")?
 * *ret_open: the kernel has its interpreter open already (flag F). */
bool emulate_entry_is_for(const char *entry, const char *arch, bool *ret_open);

#endif
