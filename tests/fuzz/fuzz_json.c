/*
 * Any bytes: what json_plain() reads is what jansson reads, to the order of keys, and never what jansson refuses.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "codec/bind.h"
#include "codec/json_plain.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_json json_t *plain = json_plain((const char *)data, size);
    own_json json_t *doc = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (!plain)
        return 0;
    own_mem char *a = json_dumps(plain, JSON_COMPACT), *b = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    if (!a || !b || strcmp(a, b) != 0)
        abort();
    return 0;
}
