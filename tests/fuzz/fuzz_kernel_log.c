// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "os/kernel_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A line of the kernel's log, into which a process can write its own name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kernel_entry e;
    if (kernel_entry_parse((const char *)data, size, &e) &&
        (e.pid <= 0 || strlen(e.task) >= sizeof e.task || strlen(e.what) >= sizeof e.what))
        abort();
    return 0;
}
