/*
 * Any text: ref_parse() answers a reference or an error, and a reference's full and familiar names parse back to it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/mem.h"
#include "image/ref.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must_be(const char *text, const char *full)
{
    own(ref) struct ref *r = NULL;
    err_ignore(ref_parse(text, &r), "r says it");
    own_mem char *again = r ? ref_full(r) : NULL;
    if (!again || strcmp(again, full) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *text = mem_strndup((const char *)data, size);
    own(ref) struct ref *r = NULL;
    own(err) err *e = ref_parse(text, &r);
    if (!e != !!r)
        abort();
    if (e)
        return 0;
    own_mem char *full = ref_full(r);
    own_mem char *familiar = ref_familiar(r);
    must_be(full, full);
    must_be(familiar, full);
    return 0;
}
