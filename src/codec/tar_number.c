// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/tar_read.h"

static bool octal(const unsigned char *p, size_t n, int64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    while (i < n && (p[i] == ' ' || p[i] == 0))
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (v >> 60)
            return false;
        v = v << 3 | (uint64_t)(p[i] - '0');
    }
    *ret = (int64_t)v;
    return i == n || p[i] == ' ' || p[i] == 0;
}

/* GNU: two's complement, the first byte's high bit set, the next one the sign. */
static bool base256(const unsigned char *p, size_t n, int64_t *ret)
{
    bool negative = (p[0] & 0x40) != 0;
    uint64_t v = negative ? UINT64_MAX : 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = i > 0 ? p[i] : negative ? p[0] | 0x80 : p[0] & 0x3f;
        if (n - i > 8 && c != (negative ? 0xff : 0))
            return false;
        v = v << 8 | c;
    }
    *ret = (int64_t)v;
    return (*ret < 0) == negative;
}

bool tar_number(const unsigned char *block, size_t at, size_t n, int64_t *ret)
{
    const unsigned char *p = block + at;
    return p[0] & 0x80 ? base256(p, n, ret) : octal(p, n, ret);
}

fallible tar_field(const struct tar *t, size_t at, size_t n, const char *what, uint64_t *ret)
{
    int64_t v;
    if (!tar_number(t->block, at, n, &v) || v < 0)
        return err_new(ERR_CORRUPT, "tar: byte %llu: the %s is no number", (unsigned long long)t->block_at, what);
    *ret = (uint64_t)v;
    return NULL;
}

bool tar_decimal(const char *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(p[i] - '0');
    }
    *ret = v;
    return n > 0;
}

bool tar_seconds(const char *p, size_t n, int64_t *ret_s, uint32_t *ret_ns)
{
    bool negative = n > 0 && p[0] == '-';
    const char *dot = memchr(p, '.', n);
    size_t whole = (dot ? (size_t)(dot - p) : n) - negative;
    uint64_t s = 0;
    uint32_t ns = 0, scale = 100000000;
    if (!tar_decimal(p + negative, whole, &s))
        return false;
    for (const char *d = dot ? dot + 1 : p + n; d < p + n; d++, scale /= 10) {
        if (*d < '0' || *d > '9')
            return false;
        ns += (uint32_t)(*d - '0') * scale;
    }
    *ret_s = negative ? -(int64_t)s - (ns > 0) : (int64_t)s;
    *ret_ns = negative && ns > 0 ? 1000000000 - ns : ns;
    return true;
}
