/*
 * Any text: landlock_rules_read() answers rules or an error, and every rule allows a part of what is handled.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "process/landlock.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *text = mem_strndup((const char *)data, size);
    own(landlock_rules) struct landlock_rules r = { 0 };
    own(err) err *e = landlock_rules_read(text, &r);
    if (e && (r.n || r.fs || r.net || r.scoped))
        abort();
    for (size_t i = 0; i < r.n; i++)
        if (r.rules[i].access & ~(r.rules[i].path ? r.fs : r.net))
            abort();
    return 0;
}
