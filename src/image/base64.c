// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "image/auth.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    own_str struct str text = { 0 };
    for (; n; p += n < 3 ? n : 3, n -= n < 3 ? n : 3) {
        uint32_t group = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
        str_add_char(&text, alphabet[group >> 18]);
        str_add_char(&text, alphabet[group >> 12 & 63]);
        str_add_char(&text, n > 1 ? alphabet[group >> 6 & 63] : '=');
        str_add_char(&text, n > 2 ? alphabet[group & 63] : '=');
    }
    return str_take(&text);
}

fallible base64_decode(const char *text, char **ret)
{
    own_str struct str bytes = { 0 };
    size_t n = strlen(text);
    uint32_t group = 0;
    int bits = 0;
    while (n && text[n - 1] == '=')
        n--;
    if (n % 4 == 1 || strlen(text) - n > 2)
        return err_new(ERR_INVALID, "not base64: the length is wrong");
    for (size_t i = 0; i < n; i++) {
        const char *at = memchr(alphabet, text[i], 64);
        if (!at)
            return err_new(ERR_INVALID, "not base64: character %zu", i + 1);
        group = group << 6 | (uint32_t)(at - alphabet);
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        char byte = (char)(group >> bits & 255);
        if (!byte)
            return err_new(ERR_INVALID, "base64 of a text with a NUL");
        str_add_char(&bytes, byte);
    }
    *ret = str_take(&bytes);
    return NULL;
}
