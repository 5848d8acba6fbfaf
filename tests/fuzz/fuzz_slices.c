/*
 * Any bytes: where a parser takes them for JSON, slices_of() finds the members that the parser finds, or says that it
 * does not know; and a document of some of them is one.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <jansson.h>
#include <stdlib.h>

#include "codec/slices.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

static void compare(const json_t *doc, const struct slices *s)
{
    const json_t *list = json_object_get(doc, "manifests");
    must(json_array_size(list) == s->n);
    for (size_t i = 0; i < s->n; i++) {
        json_t *one = json_loadb(s->items[i].text, s->items[i].len, 0, NULL);
        must(one && json_equal(one, json_array_get(list, i)));
        json_decref(one);
    }
}

static void take_every_other(const char *text, size_t size, const struct slices *s)
{
    own_mem bool *take = mem_array(NULL, s->n + 1, sizeof *take);
    for (size_t i = 0; i < s->n; i++)
        take[i] = i % 2;
    size_t len = 0;
    own_mem char *part = slices_only(text, size, s, take, &len);
    json_t *doc = json_loadb(part, len, 0, NULL);
    must(doc && json_array_size(json_object_get(doc, "manifests")) == s->n / 2);
    json_decref(doc);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own(slices) struct slices s = { 0 };
    const char *text = (const char *)data;
    json_t *doc = json_loadb(text, size, 0, NULL);
    if (slices_of(text, size, "manifests", &s) && doc) {
        compare(doc, &s);
        take_every_other(text, size, &s);
    }
    json_decref(doc);
    return 0;
}
