/* Any text: as a D-Bus value it is one with a signature, or an error. */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "cgroup/variant.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *text = mem_strndup((const char *)data, size);
    own(variant) struct variant v = { 0 };
    own(err) err *e = variant_parse(text, &v);
    if (!e != (v.signature != NULL))
        abort(); /* exactly one of the two */
    if (!e && (!*v.signature ||
               (v.signature[0] == '(') != (v.signature[strlen(v.signature) - 1] == ')' && v.signature[0] != 'a')))
        abort();
    return 0;
}
