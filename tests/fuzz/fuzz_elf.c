/*
 * Any bytes: elf_read() answers what they need, that they are no ELF file, or an error; and reads nothing outside.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "codec/elf.h"
#include "os/fs.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own(elf_needs) struct elf_needs needs = { 0 };
    own_fd int fd = -1;
    bool is_elf = false;
    if (size > 1 << 16)
        return 0;
    err_ignore(fs_memfd("elf", &fd), "seen below");
    if (fd < 0)
        return 0;
    err_ignore(fs_write_fd(fd, data, size, "elf"), "what is there is read");
    own(err) err *e = elf_read(fd, &needs, &is_elf);
    if ((e || !is_elf) && (needs.loader || needs.libraries.n || needs.machine))
        abort(); /* half an answer */
    if (needs.loader && needs.loader[0] != '/')
        abort();
    return 0;
}
