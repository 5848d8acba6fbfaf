// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/backoff.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"

/* Stopped by somebody, or removed. A folder that cannot be looked at was not stopped: husk looks again. */
static bool is_unwanted(const struct backoff *b)
{
    struct stat st;
    return faccessat(b->dir_fd, RESTART_STOPPED, F_OK, 0) == 0 || (fstat(b->dir_fd, &st) == 0 && st.st_nlink == 0);
}

bool backoff_choose(struct backoff *b, struct monitor_exit *record)
{
    record->restart_count = b->count;
    b->chosen = restart_wanted(&b->restart, record->exit_code, b->count) && !is_unwanted(b);
    if (!b->chosen)
        return false;
    b->delay_ns = restart_delay_ns(b->delay_ns, record->finished_ns - record->started_ns);
    record->restart_delay_ns = b->delay_ns;
    record->restart_ns = record->finished_ns + b->delay_ns;
    return true;
}

static err *on_time(void *ctx)
{
    struct backoff *b = ctx;
    b->over = true;
    b->given_up |= is_unwanted(b);
    b->changed(b->ctx);
    return NULL;
}

static err *on_knock(void *ctx, uint32_t events)
{
    struct backoff *b = ctx;
    own_fd int fd = accept4(b->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || b->given_up || !is_unwanted(b))
        return NULL;
    b->given_up = true;
    b->changed(b->ctx);
    return NULL;
}

fallible backoff_begin(struct backoff *b, struct loop *loop)
{
    struct loop_source *timer, *listener;
    TRY(loop_add_timer(loop, (uint64_t)b->delay_ns, on_time, b, &timer));
    if (b->listen_fd >= 0)
        TRY(loop_add_fd(loop, b->listen_fd, EPOLLIN, on_knock, b, &listener));
    return NULL;
}

void backoff_sleep(struct backoff *b)
{
    struct timespec left = { b->delay_ns / 1000000000, b->delay_ns % 1000000000 };
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    b->over = true;
    b->given_up |= is_unwanted(b);
}
