/*
 * copy.c: memcpy and memmove for the static programs.
 *
 * musl's begin with `rep movsq`, which takes some thirty cycles before the first byte whatever the length, and jansson
 * copies a text byte by byte: it was a tenth of `husk ps`. Here what is up to 64 bytes is loaded whole and then stored,
 * in pieces that overlap, and only what is long goes to the processor's own loop. Empty under glibc, which does the
 * like, and on other processors.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <features.h>

#if defined(__x86_64__) && (!defined(__GLIBC__) || defined(COPY_TEST))
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#define MAY_ALIAS __attribute__((may_alias, aligned(1)))
typedef uint16_t two MAY_ALIAS;
typedef uint32_t four MAY_ALIAS;
typedef uint64_t eight MAY_ALIAS;
typedef long long sixteen __attribute__((vector_size(16), may_alias, aligned(1)));

enum {
    SHORT_MAX = 64,
    VECTORS_MAX = 512, /* longer ones: `rep movsb` has caught up */
};

/* All is loaded before any is stored, so that to and from may overlap. */
static inline void copy_short(unsigned char *to, const unsigned char *from, size_t n)
{
    if (n >= 32) {
        sixteen a = *(const sixteen *)from, b = *(const sixteen *)(from + 16);
        sixteen c = *(const sixteen *)(from + n - 32), d = *(const sixteen *)(from + n - 16);
        *(sixteen *)to = a, *(sixteen *)(to + 16) = b;
        *(sixteen *)(to + n - 32) = c, *(sixteen *)(to + n - 16) = d;
    } else if (n >= 16) {
        sixteen a = *(const sixteen *)from, b = *(const sixteen *)(from + n - 16);
        *(sixteen *)to = a, *(sixteen *)(to + n - 16) = b;
    } else if (n >= 8) {
        eight a = *(const eight *)from, b = *(const eight *)(from + n - 8);
        *(eight *)to = a, *(eight *)(to + n - 8) = b;
    } else if (n >= 4) {
        four a = *(const four *)from, b = *(const four *)(from + n - 4);
        *(four *)to = a, *(four *)(to + n - 4) = b;
    } else if (n >= 2) {
        two a = *(const two *)from, b = *(const two *)(from + n - 2);
        *(two *)to = a, *(two *)(to + n - 2) = b;
    } else if (n) {
        *to = *from;
    }
}

/* The compiler must not see that a loop is a memcpy: it would call what it is in. */
#define OPAQUE(p) __asm__ volatile("" : "+r"(p)::"memory")

void *memcpy(void *restrict to_, const void *restrict from_, size_t n)
{
    unsigned char *to = to_;
    const unsigned char *from = from_;
    if (n <= SHORT_MAX) {
        copy_short(to, from, n);
    } else if (n <= VECTORS_MAX) {
        sixteen tail = *(const sixteen *)(from + n - 16);
        unsigned char *end = to + n - 16;
        for (; to < end; to += 16, from += 16) {
            *(sixteen *)to = *(const sixteen *)from;
            OPAQUE(from);
        }
        *(sixteen *)end = tail;
    } else {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    }
    return to_;
}

void *memmove(void *to_, const void *from_, size_t n)
{
    unsigned char *to = to_;
    const unsigned char *from = from_;
    if (n <= SHORT_MAX) {
        copy_short(to, from, n);
    } else if ((uintptr_t)to - (uintptr_t)from >= n) { /* the target does not begin within the source */
        if ((uintptr_t)from - (uintptr_t)to >= n)
            return memcpy(to_, from_, n);
        sixteen tail = *(const sixteen *)(from + n - 16); /* before it is written over */
        unsigned char *end = to + n - 16;
        for (; to < end; to += 16, from += 16) {
            sixteen piece = *(const sixteen *)from;
            *(sixteen *)to = piece;
            OPAQUE(from);
        }
        *(sixteen *)end = tail;
    } else { /* from the end */
        sixteen head = *(const sixteen *)from;
        for (; n > 16; n -= 16) {
            sixteen piece = *(const sixteen *)(from + n - 16);
            *(sixteen *)(to + n - 16) = piece;
            OPAQUE(from);
        }
        *(sixteen *)to = head;
    }
    return to_;
}
#endif
