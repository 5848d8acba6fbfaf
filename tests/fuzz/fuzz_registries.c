/*
 * Any bytes as a registries.conf: a reference leads to places whose names are valid, or to an error.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "image/registries.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check_places(const struct registries *r, const char *name)
{
    own(ref) struct ref *ref = NULL;
    struct registry_places p = { 0 };
    if (ref_parse(name, &ref))
        abort();
    own(err) err *e = registries_places(r, ref, &p);
    if (!e && !p.n)
        abort();
    for (size_t i = 0; i < p.n; i++) {
        own(ref) struct ref *again = NULL;
        own_mem char *text = mem_printf("%s/%s", p.items[i].registry, p.items[i].repository);
        if (ref_parse(text, &again))
            abort();
    }
    registry_places_clear(&p);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own(registries) struct registries *r = registries_new();
    own_strv struct strv names = { 0 };
    own(err) err *e = registries_add(r, "fuzz", (const char *)data, size);
    if (e)
        return 0;
    check_places(r, "busybox");
    check_places(r, "a.x.io/y/z:1");
    own(err) err *e2 = registries_resolve(r, "y/z:1", &names);
    if (!e2 && !names.n)
        abort();
    return 0;
}
