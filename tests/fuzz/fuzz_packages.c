/*
 * Any bytes: packages_read() answers a list whose texts are whole, in either form; sorting it changes nothing but the
 * order.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "layers/packages.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *exact = mem_alloc(size + 1); /* no NUL at the end that a reader could lean on */
    memcpy(exact, data, size);
    for (int form = PACKAGES_DPKG; form <= PACKAGES_APK; form++) {
        own(packages) struct packages p = { 0 };
        packages_read(&p, (enum packages_form)form, exact, size);
        size_t n = p.n;
        packages_sort(&p);
        for (size_t i = 0; i < p.n; i++)
            if (!p.items[i].name || !*p.items[i].name || strchr(p.items[i].name, '\n') || !p.items[i].version ||
                !p.items[i].architecture || (i && packages_compare(&p.items[i - 1], &p.items[i]) > 0))
                abort();
        if (p.n != n)
            abort();
    }
    return 0;
}
