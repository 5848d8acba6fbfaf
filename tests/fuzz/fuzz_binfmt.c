// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/emulate.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* An entry is for one machine at most, and for none when it is not enabled. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const char *const archs[] = { "amd64",   "386",   "arm64",    "arm",     "riscv64",
                                         "ppc64le", "s390x", "mips64le", "loong64", "nosuch" };
    own_mem char *text = mem_strndup((const char *)data, size);
    int found = 0;
    for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
        bool open_ = false, is = emulate_entry_is_for(text, archs[i], &open_);
        if (open_ && !strstr(text, "\nflags: "))
            abort();
        found += is;
    }
    if (found > 1 || (found && !str_starts(text, "enabled")))
        abort();
    return 0;
}
