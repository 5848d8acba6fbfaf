/*
 * elf.h: what a program or library needs to run, read from its ELF file: its loader, the libraries it names and where
 * it says they are. The file is only read, never run (as ldd may). Every offset in it is a stranger's: each is checked.
 * Source: System V ABI, chapters 4 and 5; <elf.h>.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_ELF_H
#define HUSK_CODEC_ELF_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct elf_needs {
    uint16_t machine; /* EM_* */
    bool wide;        /* 64 bits */
    char *loader;     /* PT_INTERP; NULL: none */
    struct strv libraries;
    struct strv rpath, runpath; /* as written, split at ":" */
};
void elf_needs_clear(struct elf_needs *n);
static inline void own_drop_elf_needs(struct elf_needs *n)
{
    elf_needs_clear(n);
}
/**
 * elf_read - what a file needs.
 * @ret_is_elf: false: it is something else, and ret is untouched.
 * Errors: CORRUPT (an ELF file that contradicts itself), UNSUPPORTED (the other byte order), of read(2).
 */
fallible elf_read(int fd, struct elf_needs *ret, bool *ret_is_elf);

#endif
