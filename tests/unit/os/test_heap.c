// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* The static programs' malloc under names of its own, beside the C library's. */
void *heap_malloc(size_t size);
void heap_free(void *p);
void *heap_calloc(size_t n, size_t size);
void *heap_realloc(void *p, size_t size);
size_t heap_usable(void *p);
#define HEAP_TEST
#define malloc             heap_malloc
#define free               heap_free
#define calloc             heap_calloc
#define realloc            heap_realloc
#define malloc_usable_size heap_usable
#include "../../../src/os/heap.c"
#undef malloc
#undef free
#undef calloc
#undef realloc
#undef malloc_usable_size

/* A block is filled with its number and must still be so when it goes. */
static void fill(unsigned char *p, size_t n, unsigned char with)
{
    memset(p, with, n);
}
static bool is_filled(const unsigned char *p, size_t n, unsigned char with)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != with)
            return false;
    return true;
}

TEST(blocks_of_every_size_are_aligned_and_apart)
{
    enum { N = 400 };
    static unsigned char *blocks[N];
    static size_t sizes[N];
    for (size_t i = 0; i < N; i++) {
        sizes[i] = i < 200 ? i : (i - 199) * 977;
        blocks[i] = heap_malloc(sizes[i]);
        CHECK(blocks[i] && (uintptr_t)blocks[i] % 16 == 0 && heap_usable(blocks[i]) >= sizes[i]);
        fill(blocks[i], sizes[i], (unsigned char)i);
    }
    for (size_t i = 0; i < N; i++) {
        CHECK(is_filled(blocks[i], sizes[i], (unsigned char)i));
        heap_free(blocks[i]);
    }
    heap_free(NULL);
}

TEST(what_is_freed_is_used_again)
{
    void *first = heap_malloc(100);
    heap_free(first);
    CHECK(heap_malloc(97) == first);
    heap_free(first);
}

TEST(calloc_gives_zeroes_also_from_used_blocks)
{
    unsigned char *p = heap_malloc(300);
    fill(p, 300, 0xff);
    heap_free(p);
    unsigned char *again = heap_calloc(3, 100);
    CHECK(again == p && is_filled(again, 300, 0));
    heap_free(again);
    CHECK(heap_calloc(SIZE_MAX / 2, 3) == NULL);
    CHECK(heap_malloc(SIZE_MAX - 8) == NULL);
}

TEST(realloc_keeps_the_content)
{
    unsigned char *p = heap_realloc(NULL, 10);
    fill(p, 10, 7);
    for (size_t n = 10; n < 300000; n = n * 3 / 2 + 1) {
        size_t had = n;
        p = heap_realloc(p, n * 2);
        CHECK(p && is_filled(p, had < 10 ? had : 10, 7));
        fill(p, n * 2, 7);
    }
    p = heap_realloc(p, 5);
    CHECK(is_filled(p, 5, 7));
    heap_free(p);
}

static bool dies(void (*act)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGILL, SIG_DFL); /* cmocka's handler would carry on with the other tests here */
        act();
        _exit(0);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status);
}
static void free_twice(void)
{
    void *p = heap_malloc(10);
    heap_free(p);
    heap_free(p);
}
static void free_a_strangers(void)
{
    static char not_ours[64] __attribute__((aligned(16)));
    heap_free(not_ours + 32);
}

TEST(a_wrong_free_ends_the_program)
{
    CHECK(dies(free_twice));
    CHECK(dies(free_a_strangers));
}

/* In a process of its own: it is once in a process's life. Answers the number of the first thing that is wrong. */
static int part(void)
{
    enum { N = 200, PAGE = 4096 };
    unsigned char *old[N], *fresh[N];
    char before[sizeof(struct head)];
    memset(free_lists, 0, sizeof free_lists); /* as in a process that has just begun: one piece, nothing freed */
    piece = piece_end;
    for (int i = 0; i < N; i++)
        fill(old[i] = heap_malloc(40), 40, (unsigned char)i);
    heap_free(old[0]);
    heap_part();
    memcpy(before, old[1] - sizeof before, sizeof before);
    heap_free(old[1]);
    if (memcmp(before, old[1] - sizeof before, sizeof before) != 0 || !is_filled(old[1], 40, 1))
        return 1; /* written to */
    for (int i = 0; i < N; i++) {
        fresh[i] = heap_malloc(40);
        if ((uintptr_t)fresh[i] / PAGE <= (uintptr_t)old[N - 1] / PAGE)
            return 2; /* in a page from before */
        fill(fresh[i], 40, 0xff);
    }
    for (int i = 2; i < N; i++)
        if (!is_filled(old[i], 40, (unsigned char)i))
            return 3;
    unsigned char *grown = heap_realloc(old[2], 4000);
    if (!is_filled(grown, 40, 2) || (uintptr_t)grown / PAGE <= (uintptr_t)old[N - 1] / PAGE)
        return 4;
    heap_free(fresh[0]);
    if (heap_malloc(40) != fresh[0])
        return 5; /* what is made after it is used again as ever */
    heap_part();
    heap_free(fresh[1]);
    return heap_malloc(40) == fresh[1] ? 0 : 6;
}

TEST(after_a_fork_memory_comes_from_pages_of_its_own)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(part());
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
}
