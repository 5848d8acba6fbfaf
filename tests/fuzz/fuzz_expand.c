// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>

#include "build/expand.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Any word: a value, or an error. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *word = mem_strndup((const char *)data, size);
    own_mem char *value = NULL;
    own_strv struct strv env = { 0 }, words = { 0 };
    strv_add(&env, "A=one two");
    strv_add(&env, "E=");
    struct expand e = { .env = { &env }, .escape = '\\' };
    own(err) err *failed = expand_word(&e, word, &value);
    if (!failed != !!value)
        abort();
    own(err) err *split = expand_words(&e, word, &words);
    if (!failed != !split)
        abort();
    return 0;
}
