// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "base/mem.h"

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNALS };

struct loop_source {
    struct loop *loop;
    enum source_kind kind;
    bool dead; /* removed while events of this round may still point at it */
    int fd;
    uint32_t events;
    union {
        loop_fd_fn *fd;
        loop_timer_fn *timer;
        loop_signal_fn *signal;
    } fn;
    void *ctx;
    struct loop_source *next;
};

struct loop {
    int epoll_fd;
    bool quit;
    struct loop_source *sources;
};

fallible loop_new(struct loop **ret)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "make an event loop");
    struct loop *loop = mem_zalloc(sizeof *loop);
    loop->epoll_fd = fd;
    *ret = loop;
    return NULL;
}

static void source_free(struct loop_source *s)
{
    if (s->kind != SOURCE_FD)
        own_drop_fd(&s->fd); /* timers and signals own their descriptor */
    free(s);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->sources) {
        struct loop_source *s = loop->sources;
        loop->sources = s->next;
        source_free(s);
    }
    own_drop_fd(&loop->epoll_fd);
    free(loop);
}

static fallible add(struct loop *loop, struct loop_source *take_source, struct loop_source **ret)
{
    struct epoll_event event = { .events = take_source->events, .data.ptr = take_source };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, take_source->fd, &event) < 0) {
        err *e = err_sys(errno, "wait for descriptor %d", take_source->fd);
        source_free(take_source);
        return e;
    }
    take_source->loop = loop;
    take_source->next = loop->sources;
    loop->sources = take_source;
    if (ret)
        *ret = take_source;
    return NULL;
}

fallible loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *ctx, struct loop_source **ret)
{
    struct loop_source *s = mem_zalloc(sizeof *s);
    *s = (struct loop_source){ .kind = SOURCE_FD, .fd = fd, .events = events, .fn.fd = fn, .ctx = ctx };
    return add(loop, s, ret);
}

fallible loop_set_events(struct loop_source *source, uint32_t events)
{
    if (source->events == events)
        return NULL;
    struct epoll_event event = { .events = events, .data.ptr = source };
    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
        return err_sys(errno, "wait for descriptor %d", source->fd);
    source->events = events;
    return NULL;
}

fallible loop_set_timer(struct loop_source *source, uint64_t ns)
{
    struct itimerspec when = { .it_value = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) } };
    if (timerfd_settime(source->fd, 0, &when, NULL) < 0)
        return err_sys(errno, "set a timer");
    return NULL;
}

fallible loop_add_timer(struct loop *loop, uint64_t ns, loop_timer_fn *fn, void *ctx, struct loop_source **ret)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return err_sys(errno, "make a timer");
    struct loop_source *s = mem_zalloc(sizeof *s);
    *s = (struct loop_source){ .kind = SOURCE_TIMER, .fd = fd, .events = EPOLLIN, .fn.timer = fn, .ctx = ctx };
    struct loop_source *added = NULL;
    TRY(add(loop, s, &added));
    TRY(loop_set_timer(added, ns));
    if (ret)
        *ret = added;
    return NULL;
}

fallible loop_add_signals(struct loop *loop, const sigset_t *set, loop_signal_fn *fn, void *ctx)
{
    if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
        return err_sys(errno, "block signals");
    int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_sys(errno, "read signals from a descriptor");
    struct loop_source *s = mem_zalloc(sizeof *s);
    *s = (struct loop_source){ .kind = SOURCE_SIGNALS, .fd = fd, .events = EPOLLIN, .fn.signal = fn, .ctx = ctx };
    return add(loop, s, NULL);
}

void loop_remove(struct loop_source *source)
{
    if (!source || source->dead)
        return;
    (void)epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->dead = true;
}

static void bury(struct loop *loop)
{
    for (struct loop_source **p = &loop->sources; *p;) {
        struct loop_source *s = *p;
        if (s->dead) {
            *p = s->next;
            source_free(s);
        } else {
            p = &s->next;
        }
    }
}

static fallible dispatch_signals(struct loop_source *s)
{
    struct signalfd_siginfo got;
    while (!s->dead && read(s->fd, &got, sizeof got) == (ssize_t)sizeof got) {
        siginfo_t info = { .si_signo = (int)got.ssi_signo, .si_code = got.ssi_code };
        info.si_pid = (pid_t)got.ssi_pid;
        info.si_uid = got.ssi_uid;
        info.si_status = got.ssi_status;
        TRY(s->fn.signal(s->ctx, &info));
    }
    return NULL;
}

static fallible dispatch(struct loop_source *s, uint32_t events)
{
    uint64_t expirations;
    switch (s->kind) {
    case SOURCE_FD:
        return s->fn.fd(s->ctx, events);
    case SOURCE_TIMER:
        if (read(s->fd, &expirations, sizeof expirations) != (ssize_t)sizeof expirations)
            return NULL; /* set again meanwhile */
        return s->fn.timer(s->ctx);
    case SOURCE_SIGNALS:
        return dispatch_signals(s);
    }
    return NULL;
}

fallible loop_run(struct loop *loop)
{
    struct epoll_event events[16];
    loop->quit = false;
    while (!loop->quit) {
        int n = epoll_wait(loop->epoll_fd, events, ARRAY_SIZE(events), -1);
        if (n < 0 && errno != EINTR)
            return err_sys(errno, "wait for events");
        err *e = NULL;
        for (int i = 0; i < n && !e && !loop->quit; i++) {
            struct loop_source *s = events[i].data.ptr;
            if (!s->dead)
                e = dispatch(s, events[i].events);
        }
        bury(loop);
        if (e)
            return e;
    }
    return NULL;
}

void loop_quit(struct loop *loop)
{
    loop->quit = true;
}
