/*
 * own.h: who frees what, said in the declaration.
 *
 * A local is declared `own(type) struct type *x = NULL;` and dropped when its scope ends; `take(x)` hands it out.
 * A parameter named take_... is the callee's from then on; ret_... is the caller's on success only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BASE_OWN_H
#define HUSK_BASE_OWN_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OWN_TYPE(name, type, drop)                                                                                     \
    static inline void own_drop_##name(type *slot)                                                                     \
    {                                                                                                                  \
        if (*slot)                                                                                                     \
            drop(*slot);                                                                                               \
        *slot = NULL;                                                                                                  \
    }
#define own(name) __attribute__((cleanup(own_drop_##name)))
#define own_fd    own(fd)
#define own_mem   own(mem)
#define own_file  own(file)
#define own_dir   own(dir)

static inline void own_drop_mem(void *slot)
{
    free(*(void **)slot);
}
static inline void own_drop_fd(int *slot)
{
    if (*slot >= 0)
        (void)close(*slot); /* never retried: Linux has already released the number on EINTR */
    *slot = -1;
}
static inline void own_drop_file(FILE **slot)
{
    if (*slot)
        (void)fclose(*slot);
    *slot = NULL;
}
static inline void own_drop_dir(DIR **slot)
{
    if (*slot)
        (void)closedir(*slot);
    *slot = NULL;
}

/* Hands the pointer out and forgets it. The one statement expression in husk. */
#define take(slot)                                                                                                     \
    ({                                                                                                                 \
        __typeof__(slot) take_value_ = (slot);                                                                         \
        (slot) = NULL;                                                                                                 \
        take_value_;                                                                                                   \
    })

static inline int take_fd(int *slot)
{
    int fd = *slot;
    *slot = -1;
    return fd;
}

/* Closes now rather than at the end of the scope. */
static inline void close_now(int *slot)
{
    own_drop_fd(slot);
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
