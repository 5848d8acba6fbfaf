/*
 * heap.c: malloc for the static programs, which live for milliseconds and have one thread.
 *
 * musl's allocator gives memory back to the kernel as soon as it can: `husk run` made 123 calls of mmap and munmap,
 * each with page faults behind it. This one takes memory from the kernel in large pieces, keeps what is freed in one
 * list per size, and gives only large blocks back. A block is a header and the memory:
 *
 *   u32 magic (in use, or freed)   u32 class, or LARGE   u64 bytes asked for by mmap (LARGE)
 *
 * Freeing twice, or what was never a block, ends the program. Empty under glibc
 * (docs/adr/0012-a-heap-for-short-lives.md).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/heap.h"

#include <features.h>

#if !defined(__GLIBC__) || defined(HEAP_TEST)
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum {
    STEP = 16,
    SMALL_MAX = 1024, /* classes of 16, 32 ... 1024 bytes, then 2, 4 ... 64 KiB */
    SMALL_N = SMALL_MAX / STEP,
    DOUBLED_N = 6,
    BLOCK_MAX = SMALL_MAX << DOUBLED_N,
    LARGE = 0xffff,
    PIECE = 256 << 10,
    FIRST = 48 << 10, /* what even a short command touches: asked for at once, as each fault costs some 2 us */
};
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#define IN_USE 0x6b737568u /* "husk" */
#define FREED  0x65657266u /* "free" */

struct head {
    uint32_t magic, class;
    uint64_t mapped;
};
_Static_assert(sizeof(struct head) == STEP, "what follows a header is aligned as malloc's memory must be");

struct free_block {
    struct free_block *next;
};

static struct free_block *free_lists[SMALL_N + DOUBLED_N];
static char *piece, *piece_end, *piece_begin;
static char *kept, *kept_end; /* heap_part(): what was made before */

static unsigned class_of(size_t size)
{
    if (size <= SMALL_MAX)
        return size ? (unsigned)((size - 1) / STEP) : 0;
    unsigned class = SMALL_N;
    for (size_t room = SMALL_MAX * 2; room < size; room *= 2)
        class ++;
    return class;
}

static size_t room_of(unsigned class)
{
    return class < SMALL_N ? (size_t)(class + 1) * STEP : (size_t)SMALL_MAX << (class - SMALL_N + 1);
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void *give(struct head *h, unsigned class, size_t mapped)
{
    *h = (struct head){ IN_USE, class, mapped };
    return h + 1;
}

static struct head *head_of(void *p)
{
    struct head *h = (struct head *)p - 1;
    if (h->magic != IN_USE)
        __builtin_trap();
    return h;
}

/* From the piece at hand; its rest is too small for this and stays unused. */
static void *cut(unsigned class)
{
    size_t need = sizeof(struct head) + room_of(class);
    if ((size_t)(piece_end - piece) < need) {
        char *fresh = map(PIECE);
        if (!fresh)
            return NULL;
        if (!piece) /* Linux before 5.14 does not know it, and faults */
            (void)madvise(fresh, FIRST, MADV_POPULATE_WRITE);
        piece = piece_begin = fresh;
        piece_end = fresh + PIECE;
    }
    struct head *h = (struct head *)piece;
    piece += need;
    return give(h, class, 0);
}

static void *large(size_t size)
{
    if (size > PTRDIFF_MAX - 2 * sizeof(struct head) - 4096) {
        errno = ENOMEM;
        return NULL;
    }
    size_t mapped = (size + sizeof(struct head) + 4095) & ~(size_t)4095;
    struct head *h = map(mapped);
    return h ? give(h, LARGE, mapped) : NULL;
}

/* Under a name of its own: the compiler makes a call of calloc out of malloc and memset, even in calloc. */
static void *allocate(size_t size)
{
    if (size > BLOCK_MAX)
        return large(size);
    unsigned class = class_of(size);
    struct free_block *b = free_lists[class];
    if (!b)
        return cut(class);
    free_lists[class] = b->next;
    return give((struct head *)b - 1, class, 0);
}

void *malloc(size_t size)
{
    return allocate(size);
}

void free(void *p)
{
    if (!p)
        return;
    struct head *h = head_of(p);
    if (h->class == LARGE) {
        int saved = errno; /* POSIX: free does not change it */
        (void)munmap(h, h->mapped);
        errno = saved;
        return;
    }
    if ((char *)p >= kept && (char *)p < kept_end)
        return;
    h->magic = FREED;
    struct free_block *b = p;
    b->next = free_lists[h->class];
    free_lists[h->class] = b;
}

void heap_part(void)
{
    if (kept || !piece)
        return;
    kept = piece_begin;
    kept_end = piece;
    memset(free_lists, 0, sizeof free_lists);
    piece += (piece_end - piece) % 4096; /* pieces begin and end at pages */
}

void *calloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    void *p = allocate(bytes);
    if (p && bytes <= BLOCK_MAX) /* a large block is fresh from the kernel */
        memset(p, 0, bytes);
    return p;
}

static size_t room_in(const struct head *h)
{
    return h->class == LARGE ? h->mapped - sizeof *h : room_of(h->class);
}

void *realloc(void *p, size_t size)
{
    if (!p)
        return malloc(size);
    struct head *h = head_of(p);
    size_t room = room_in(h);
    if (size <= room && (h->class != LARGE || size > room / 2))
        return p;
    void *moved = allocate(size);
    if (!moved)
        return NULL;
    memcpy(moved, p, size < room ? size : room);
    free(p);
    return moved;
}

size_t malloc_usable_size(void *p);

size_t malloc_usable_size(void *p)
{
    return p ? room_in(head_of(p)) : 0;
}
#else
void heap_part(void)
{
}
#endif
