// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/settle.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/pool.h"

struct settle {
    int fd;
    struct lane *lane;
};

enum { FIRST = 'f', SYNC = 's' };

static fallible work(void *ctx, const void *bytes, size_t n)
{
    const struct settle *s = ctx;
    (void)n;
    if (*(const char *)bytes == SYNC && syncfs(s->fd) < 0)
        log_debug("build: an early sync: %m");
    return NULL;
}

struct settle *settle_new(int fd)
{
    struct settle *s = mem_zalloc(sizeof *s);
    s->fd = fd;
    return s;
}

void settle_some(struct settle *s)
{
    static const char first = FIRST, sync = SYNC;
    if (!s)
        return;
    if (!s->lane) {
        s->lane = lane_new(work, s);
        err_ignore(lane_add(s->lane, &first, 1), "a lane does its first piece itself, so this one is nothing");
    }
    if (lane_waits(s->lane) < 2) /* what waits there will take this along */
        err_ignore(lane_add(s->lane, &sync, 1), "it never fails");
}

void settle_free(struct settle *s)
{
    if (!s)
        return;
    lane_free(s->lane);
    free(s);
}
