// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/mem.h"

/* A C library's readdir() may ask for 2 KiB at a time. */
enum { PIECE = 64 << 10 };

struct listing {
    struct str names; /* each with its NUL */
    uint32_t *slots;  /* where in names one begins, and 1; 0: free */
    size_t n, room;   /* a power of two */
};
/* Source: getdents64(2). */
struct entry {
    uint64_t ino;
    int64_t off;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* FNV-1a */
static uint32_t hash(const char *p)
{
    uint32_t h = 2166136261u;
    for (; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return h ^ h >> 15;
}

static void enter(struct listing *l, uint32_t at)
{
    size_t i = hash(l->names.text + at) & (l->room - 1);
    while (l->slots[i])
        i = (i + 1) & (l->room - 1);
    l->slots[i] = at + 1;
}

static void index_all(struct listing *l)
{
    for (l->room = 16; l->room < 2 * l->n;)
        l->room *= 2;
    l->slots = mem_array(NULL, l->room, sizeof *l->slots);
    memset(l->slots, 0, l->room * sizeof *l->slots);
    for (size_t at = 0; at < l->names.len; at += strlen(l->names.text + at) + 1)
        enter(l, (uint32_t)at);
}

static fallible read_names(struct listing *l, int fd, const char *path)
{
    own_mem char *buf = mem_alloc(PIECE);
    for (;;) {
        long n = syscall(SYS_getdents64, fd, buf, (size_t)PIECE);
        if (n < 0)
            return err_sys(errno, "list '%s'", path);
        if (n == 0)
            return NULL;
        for (long at = 0; at < n; l->n++) {
            const struct entry *e = (const void *)(buf + at);
            str_add_n(&l->names, e->name, strlen(e->name) + 1);
            at += e->length;
        }
        if (l->names.len > UINT32_MAX / 2)
            return err_new(ERR_EXHAUSTED, "'%s' has too many entries", path);
    }
}

fallible listing_read(int dir_fd, const char *path, struct listing **ret)
{
    own(listing) struct listing *l = mem_zalloc(sizeof *l);
    own_fd int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return err_sys(errno, "open '%s'", path);
    if (fd >= 0)
        TRY(read_names(l, fd, path));
    index_all(l);
    *ret = take(l);
    return NULL;
}

bool listing_has(const struct listing *l, const char *name)
{
    for (size_t i = hash(name) & (l->room - 1); l->slots[i]; i = (i + 1) & (l->room - 1))
        if (strcmp(l->names.text + l->slots[i] - 1, name) == 0)
            return true;
    return false;
}

void listing_free(struct listing *l)
{
    if (!l)
        return;
    str_free(&l->names);
    free(l->slots);
    free(l);
}
