// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/keys.h"

#include <string.h>

#include "base/mem.h"

/* ctrl-@ is 0, ctrl-a 1 ... ctrl-_ 31: the letter's low five bits. */
static fallible parse_key(const char *word, unsigned char *ret)
{
    if (strlen(word) == 1) {
        *ret = (unsigned char)word[0];
        return NULL;
    }
    if (str_starts(word, "ctrl-") && strlen(word) == 6) {
        char c = word[5];
        if ((c >= 'a' && c <= 'z') || (c && strchr("@[\\]^_", c))) {
            *ret = (unsigned char)(c & 31);
            return NULL;
        }
    }
    return err_new(ERR_INVALID, "'%s' is not a key: write a character, or ctrl- and one of a-z @ [ \\ ] ^ _", word);
}

fallible keys_parse(const char *text, struct keys *ret)
{
    own_strv struct strv words = { 0 };
    struct keys keys = { .n = 0 };
    strv_split(&words, text ? text : KEYS_DEFAULT, ',');
    if (words.n > KEYS_MAX)
        return err_new(ERR_INVALID, "detach keys '%s' are more than %d", text, KEYS_MAX);
    for (; keys.n < words.n; keys.n++)
        TRY(parse_key(words.items[keys.n], &keys.sequence[keys.n]));
    *ret = keys;
    return NULL;
}

/* The longest end of what was typed that is a beginning of the sequence: "ctrl-p ctrl-p ctrl-q" detaches too. */
static size_t fall_back(const struct keys *k, size_t matched)
{
    for (size_t shift = 1; shift < matched; shift++)
        if (memcmp(k->sequence + shift, k->sequence, matched - shift) == 0)
            return matched - shift;
    return 0;
}

bool keys_filter(struct keys *k, const char *typed, size_t n, char *out, size_t *ret_n)
{
    size_t out_n = 0;
    bool complete = false;
    for (size_t i = 0; i < n && !complete; i++) {
        unsigned char c = (unsigned char)typed[i];
        while (k->matched && k->sequence[k->matched] != c) {
            size_t shorter = fall_back(k, k->matched);
            memcpy(out + out_n, k->sequence, k->matched - shorter);
            out_n += k->matched - shorter;
            k->matched = shorter;
        }
        if (k->n && k->sequence[k->matched] == c)
            k->matched++;
        else
            out[out_n++] = typed[i];
        complete = k->n && k->matched == k->n;
    }
    if (complete)
        k->matched = 0;
    *ret_n = out_n;
    return complete;
}
