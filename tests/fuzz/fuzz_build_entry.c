// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/build_cache.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* A record of a build cache, which --cache-from takes from strangers: read or refused, and what was read is written as
 * it is read again. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    void *read = NULL, *read_again = NULL;
    own(err) err *e = bind_read(&build_entry_type, (const char *)data, size, &read);
    own(build_entry) struct build_entry *entry = read;
    if (!e != !!entry)
        abort();
    if (e)
        return 0;
    own_mem char *text = bind_write(&build_entry_type, entry, BIND_COMPACT);
    own(err) err *again = text ? bind_read(&build_entry_type, text, strlen(text), &read_again) : NULL;
    own(build_entry) struct build_entry *second = read_again;
    own_mem char *text2 = second ? bind_write(&build_entry_type, second, BIND_COMPACT) : NULL;
    if (again || !text2 || strcmp(text, text2) != 0)
        abort();
    return 0;
}
