// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/health.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "monitor/child.h"

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_starting(const struct health *h)
{
    return !h->was_well && now_ns() - h->from_ns < (uint64_t)h->plan->health_start_period_ms * 1000000u;
}

/* 0: it is not asked by the clock. */
static uint64_t pause_ns(const struct health *h)
{
    if (h->plan->health_startup_interval_ms && !h->startup_over)
        return (uint64_t)h->plan->health_startup_interval_ms * 1000000u;
    int64_t ms = is_starting(h) && h->plan->health_start_interval_ms ? h->plan->health_start_interval_ms
                                                                     : h->plan->health_interval_ms;
    return (uint64_t)ms * 1000000u;
}

static void wait_again(struct health *h)
{
    if (pause_ns(h))
        err_ignore(loop_set_timer(h->timer, pause_ns(h)), "a timer that is there can be set");
}

static err *on_time(void *ctx)
{
    struct health *h = ctx;
    pid_t pid = fork();
    if (pid == 0)
        child_become_husk(h->plan, "health-probe");
    h->probe = pid > 0 ? pid : 0;
    if (pid < 0)
        wait_again(h); /* no process to be had: asked again later */
    return NULL;
}

fallible health_begin(struct health *h, const struct monitor_plan *plan, struct loop *loop)
{
    *h = (struct health){ .plan = plan, .from_ns = now_ns() };
    if (!plan->husk || !pause_ns(h))
        return NULL;
    return loop_add_timer(loop, pause_ns(h), on_time, h, &h->timer);
}

void health_reaped(struct health *h, pid_t pid, int wait_status)
{
    if (!h->timer || pid != h->probe)
        return;
    h->probe = 0;
    int answer = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : HEALTH_ILL;
    h->startup_over = answer != HEALTH_STARTING;
    h->was_well |= answer == HEALTH_WELL;
    wait_again(h);
}

void health_end(struct health *h)
{
    loop_remove(h->timer);
    h->timer = NULL;
}
