// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "layers/packages_rpm.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Any bytes: a header of an RPM database adds one package with whole texts, or none. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own(packages) struct packages p = { 0 };
    own_mem unsigned char *exact = mem_alloc(size ? size : 1);
    memcpy(exact, data, size);
    packages_read_rpm(&p, exact, size);
    if (p.n > 1 || (p.n && (!p.items[0].name || !*p.items[0].name || !p.items[0].version || !p.items[0].architecture ||
                            strchr(p.items[0].name, '\n'))))
        abort();
    return 0;
}
