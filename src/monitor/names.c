// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/names.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "monitor/child.h"
#include "os/sock.h"

enum { SPREAD_MS = 200, DOUBLED_MAX = 8, QUIET_S = 60 };
#define MS 1000000ull

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The number stays taken until another connection has it: it is in plan->hold, which is closed at the end. */
static err *on_gone(void *ctx, uint32_t events)
{
    struct names *n = ctx;
    uint64_t now = now_ns(), spread = (uint64_t)(getpid() * 37 % SPREAD_MS + 1);
    loop_remove(n->source);
    n->source = NULL;
    n->helped = false;
    n->lost = now - n->lost_ns > QUIET_S * 1000 * MS ? 0 : n->lost < DOUBLED_MAX ? n->lost + 1 : n->lost;
    n->lost_ns = now;
    return loop_set_timer(n->timer, (spread << n->lost) * MS);
}

static bool connect_again(struct names *n)
{
    own_fd int fd = -1;
    err *e = sock_connect_at(n->state_fd, "../dns", SOCK_SEQPACKET, &fd);
    if (!e && dup3(fd, (int)n->plan->names_fd, O_CLOEXEC) >= 0)
        e = loop_add_fd(n->loop, (int)n->plan->names_fd, EPOLLIN, on_gone, n, &n->source);
    err_ignore(e, "nobody is there");
    return n->source != NULL;
}

/* Nobody is there, though somebody was to bring it back: it was killed again, or cannot be started now. */
static fallible wait_longer(struct names *n)
{
    n->helped = false;
    n->lost_ns = now_ns();
    n->lost = n->lost < DOUBLED_MAX ? n->lost + 1 : n->lost;
    return loop_set_timer(n->timer, ((uint64_t)SPREAD_MS << n->lost) * MS);
}

static err *on_time(void *ctx)
{
    struct names *n = ctx;
    if (connect_again(n))
        return NULL;
    if (n->helped)
        return wait_longer(n);
    n->helped = true;
    pid_t pid = fork();
    if (pid == 0)
        child_become_husk(n->plan, "network-names");
    n->helper = pid > 0 ? pid : 0;
    return pid > 0 ? NULL : wait_longer(n);
}

fallible names_begin(struct names *n, const struct monitor_plan *plan, struct loop *loop, int state_fd)
{
    *n = (struct names){ .plan = plan, .loop = loop, .state_fd = state_fd };
    if (!plan->names_fd || !plan->husk)
        return NULL;
    TRY(loop_add_timer(loop, 0, on_time, n, &n->timer));
    return loop_add_fd(loop, (int)plan->names_fd, EPOLLIN, on_gone, n, &n->source);
}

void names_reaped(struct names *n, pid_t pid)
{
    if (!n->timer || pid != n->helper)
        return;
    n->helper = 0;
    err_ignore(loop_set_timer(n->timer, 1), "a timer that is there can be set");
}

void names_end(struct names *n)
{
    if (n->source)
        loop_remove(n->source);
    if (n->timer)
        loop_remove(n->timer);
    n->source = n->timer = NULL;
}
