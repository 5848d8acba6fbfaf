/*
 * slices.h: the members of one list of a JSON document as pieces of its text, unparsed. Two versions of a long document
 * can so be compared member by member, and only what is new in the later one needs to be parsed: with_slices() makes a
 * document of those members alone, which a parser then judges.
 *
 * What is here judges nothing: of a text that is no JSON some slices may come out. Whoever has parsed a document with
 * its members knows that one with the same text is right.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_SLICES_H
#define HUSK_CODEC_SLICES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct slice {
    const char *text; /* borrowed from the document */
    size_t len;
};
struct slices {
    struct slice *items;
    size_t n;
    size_t begin, end; /* the document's bytes behind the '[' and before the ']' */
};
static inline void own_drop_slices(struct slices *s)
{
    free(s->items);
}

/**
 * slices_of - the objects in the list that the document, an object, has under the key.
 * False: no such list, several, something in it that is no object, or the key may be written in another way. Then the
 * document is to be parsed as a whole.
 */
bool slices_of(const char *text, size_t len, const char *key, struct slices *ret);
bool slice_eq(const struct slice *a, const struct slice *b);
/* The document with only those of its members for which take[i] is set. Caller frees. */
char *slices_only(const char *text, size_t len, const struct slices *s, const bool *take, size_t *ret_len);

#endif
