// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

/* The static programs' memcpy and memmove under names of their own, beside the C library's. */
void *copy_memcpy(void *restrict to, const void *restrict from, size_t n);
void *copy_memmove(void *to, const void *from, size_t n);
#ifdef __x86_64__
#define COPY_TEST
#define memcpy  copy_memcpy
#define memmove copy_memmove
#include "../../../src/os/copy.c"
#undef memcpy
#undef memmove
#else
void *copy_memcpy(void *restrict to, const void *restrict from, size_t n)
{
    return memcpy(to, from, n);
}
void *copy_memmove(void *to, const void *from, size_t n)
{
    return memmove(to, from, n);
}
#endif

enum { ROOM = 2048 };

static void number(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(i * 7 + i / 251);
}

static const size_t lengths[] = { 0,  1,  2,  3,  4,  5,  7,  8,  9,   15,  16,  17,  23,  31,  32,  33,   47,
                                  48, 63, 64, 65, 79, 80, 81, 96, 127, 128, 255, 500, 511, 512, 513, 1000, 1500 };

TEST(a_copy_is_whole_and_touches_nothing_else)
{
    unsigned char from[ROOM], to[ROOM], want[ROOM];
    number(from, ROOM);
    for (size_t l = 0; l < ARRAY_SIZE(lengths); l++)
        for (size_t a = 0; a < 17; a++)
            for (size_t b = 0; b < 17; b++) {
                memset(to, 0xee, ROOM);
                memset(want, 0xee, ROOM);
                for (size_t i = 0; i < lengths[l]; i++)
                    want[b + i] = from[a + i];
                assert_ptr_equal(copy_memcpy(to + b, from + a, lengths[l]), to + b);
                assert_memory_equal(to, want, ROOM);
            }
}

TEST(what_overlaps_is_moved_as_if_it_did_not)
{
    unsigned char memory[ROOM], want[ROOM], between[ROOM];
    static const size_t offsets[] = { 0, 1, 2, 3, 8, 15, 16, 17, 31, 33, 64, 100, 400 };
    for (size_t l = 0; l < ARRAY_SIZE(lengths); l++)
        for (size_t a = 0; a < ARRAY_SIZE(offsets); a++)
            for (size_t b = 0; b < ARRAY_SIZE(offsets); b++) {
                size_t from = offsets[a], to = offsets[b], n = lengths[l];
                number(memory, ROOM);
                number(want, ROOM);
                for (size_t i = 0; i < n; i++)
                    between[i] = want[from + i];
                for (size_t i = 0; i < n; i++)
                    want[to + i] = between[i];
                assert_ptr_equal(copy_memmove(memory + to, memory + from, n), memory + to);
                assert_memory_equal(memory, want, ROOM);
            }
}
