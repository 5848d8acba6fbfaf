/*
 * Any bytes: toml_parse() answers a tree or an error, and a tree has a text.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "codec/bind.h"
#include "codec/toml.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_json json_t *doc = NULL;
    own(err) err *e = toml_parse((const char *)data, size, &doc);
    if (!e != !!doc)
        abort();
    own_mem char *text = doc ? json_text(doc, BIND_COMPACT) : NULL;
    return !e && !text;
}
