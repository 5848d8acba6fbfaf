// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/window.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    IN_MEMORY = 9 << 20, /* a window of 8 MiB and zstd's own room beside it */
    LET_GO_AFTER = 2 << 20,
};

struct window {
    int dir_fd;   /* -1: all in memory */
    void *mapped; /* NULL: it is not */
    size_t size, used;
    int problem; /* errno */
};

struct window *window_new(void)
{
    struct window *w = mem_zalloc(sizeof *w);
    w->dir_fd = -1;
    return w;
}

void window_free(struct window *w)
{
    if (!w)
        return;
    window_release(w, w->mapped);
    close_now(&w->dir_fd);
    free(w);
}

void window_in(struct window *w, int dir_fd)
{
    close_now(&w->dir_fd);
    w->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
}

/* Room on the disk is taken at once: a full one would be a signal later. *ret_able false: not on this file system. */
static void *map(struct window *w, size_t bytes, bool *ret_able)
{
    own_fd int fd = openat(w->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int failed = fd < 0 || fallocate(fd, 0, 0, (off_t)bytes) < 0 ? errno : 0;
    void *at = failed ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *ret_able = !failed || failed == ENOSPC || failed == EDQUOT;
    if (at != MAP_FAILED)
        return at;
    if (*ret_able)
        w->problem = failed ? failed : errno;
    return NULL;
}

void *window_alloc(void *window, size_t bytes)
{
    struct window *w = window;
    bool able = false;
    void *at = bytes > IN_MEMORY && w->dir_fd >= 0 && !w->mapped ? map(w, bytes, &able) : NULL;
    if (!at)
        return able ? NULL : malloc(bytes);
    w->mapped = at;
    w->size = bytes;
    return at;
}

void window_release(void *window, void *memory)
{
    struct window *w = window;
    if (!memory || memory != w->mapped) {
        free(memory);
        return;
    }
    (void)munmap(memory, w->size);
    w->mapped = NULL;
}

void window_used(struct window *w, size_t bytes)
{
    w->used += bytes;
    if (!w->mapped || w->used < LET_GO_AFTER)
        return;
    w->used = 0;
    (void)madvise(w->mapped, w->size, MADV_DONTNEED); /* of a shared file: its pages stay */
}

fallible window_problem(const struct window *w)
{
    return w->problem ? err_sys(w->problem, "make room for what zstd looks back into") : NULL;
}
