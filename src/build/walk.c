// SPDX-License-Identifier: GPL-2.0-or-later
/* Stages side by side: which step may run, and what comes of those that do. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "build/build_parts.h"
#include "codec/pool.h"
#include "os/proc.h"

enum { TICK_MS = 100 };

static bool is_ready(const struct build *b, size_t stage, const struct df_instruction *i)
{
    const struct stage *s = &b->stages->items[stage];
    if (!i)
        return s->base_kind != BASE_STAGE || b->runs[s->base].status == STAGE_DONE;
    for (size_t f = 0; f < i->flags_n; f++) {
        const struct df_flag *flag = &i->flags[f];
        own(build_mount) struct build_mount m = { 0 };
        const char *word = i->kind == DF_COPY && strcmp(flag->name, "from") == 0 ? flag->value : NULL;
        if (i->kind == DF_RUN && strcmp(flag->name, "mount") == 0) {
            err_ignore(build_mount_parse(flag->value, NULL, &m), "the step says so");
            word = m.from;
        }
        int other = word ? stages_find(b->stages, word, stage) : STAGE_NONE;
        if (other != STAGE_NONE && b->runs[other].status != STAGE_DONE)
            return false;
    }
    return true;
}

/* Names that an instruction asked for and nobody set. */
static void warn_unset(struct build *b, const struct df_instruction *i)
{
    for (size_t k = 0; k < b->unset.n; k++)
        build_warn(b, i->place, "UndefinedVar", "nothing sets '$%s'", b->unset.items[k]);
    strv_free(&b->unset);
}

/* The instruction at which a stage is: one of ONBUILD is not in this file, its FROM is. */
static err *at_step(const struct build *b, size_t stage, err *e)
{
    const struct stage_run *r = &b->runs[stage];
    if (r->next >= r->triggers_n)
        return build_at(b, r->items[r->next], e);
    if (e && *err_text(e) && !err_is(e, ERR_CANCELLED))
        e = err_wrap(e, "ONBUILD %s of its base", df_kind_name(r->items[r->next]->kind));
    return build_at(b, b->stages->items[stage].from, e);
}

/* Is the other one still at the step that is ours, too? */
static bool is_behind(const struct stage_run *r)
{
    return r->behind && r->behind->pid && str_eq(r->behind->key, r->key);
}

/* As far as it goes without waiting. */
static fallible advance(struct build *b, size_t stage, size_t limit)
{
    struct stage_run *r = &b->runs[stage];
    if (!r->state) {
        bool waits = false;
        if (!is_ready(b, stage, NULL))
            return NULL;
        TRY(build_at(b, b->stages->items[stage].from, base_fetch_begin(b, stage, &waits)));
        if (waits)
            return NULL;
        TRY(build_at(b, b->stages->items[stage].from, build_from(b, stage)));
        r->status = STAGE_READY;
    }
    size_t stop = debug_stop(b, stage);
    for (; r->next < r->n; r->next++) {
        const struct df_instruction *i = r->items[r->next];
        bool done = false, works = false;
        if (r->next == stop)
            return NULL;
        TRY(at_step(b, stage, instruct(b, r, i, &done)));
        warn_unset(b, i);
        if (done)
            continue;
        if (!is_ready(b, stage, i) || b->working - b->fetches >= limit || is_behind(r))
            return NULL;
        TRY(at_step(b, stage, step_begin(b, stage, i, &works)));
        if (r->behind) {
            strv_free(&b->unset); /* it is told when the step begins */
            return NULL;
        }
        warn_unset(b, i);
        if (works) {
            r->status = STAGE_WORKS;
            b->working++;
            return NULL;
        }
    }
    r->status = STAGE_DONE;
    return b->o->how.layers.set && !b->o->how.layers.v ? build_squash_stage(b, r) : NULL;
}

static bool drain(struct build *b, struct stage_run *r, int *fd, bool result)
{
    char buf[65536];
    ssize_t n = read(*fd, buf, sizeof buf);
    if (n < 0)
        return errno == EINTR;
    if (n == 0) {
        close_now(fd);
        return false;
    }
    if (result)
        str_add_n(&r->result, buf, (size_t)n);
    else
        progress_output(b->progress, r->number, buf, (size_t)n);
    return true;
}

static fallible finish(struct build *b, size_t stage)
{
    struct stage_run *r = &b->runs[stage];
    int status = 0;
    while (r->out_fd >= 0 && drain(b, r, &r->out_fd, false))
        ;
    close_now(&r->out_fd);
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
        ;
    r->pid = 0;
    b->working--;
    if (r->fetching)
        return base_fetch_end(b, stage);
    TRY(at_step(b, stage, step_end(b, stage, status)));
    r->next++;
    r->status = STAGE_READY;
    return NULL;
}

/* The output and the answer of each step at work. */
static size_t list_fds(const struct build *b, struct pollfd **ret)
{
    size_t n = 0, room = 1;
    for (size_t p = 0; p < b->plans_n; p++)
        room += 2 * b->plans[p].stages->n;
    struct pollfd *fds = mem_zalloc(room * sizeof *fds);
    for (size_t p = 0; p < b->plans_n; p++)
        for (size_t i = 0; i < b->plans[p].stages->n; i++) {
            const struct stage_run *r = &b->plans[p].runs[i];
            fds[n++] = (struct pollfd){ .fd = r->pid ? r->result_fd : -1, .events = POLLIN };
            fds[n++] = (struct pollfd){ .fd = r->pid ? r->out_fd : -1, .events = POLLIN };
        }
    *ret = fds;
    return n;
}

/* fds: the two of each stage of the plan at hand. */
static fallible hear_steps(struct build *b, const struct pollfd *fds)
{
    for (size_t i = 0; i < b->stages->n; i++) {
        struct stage_run *r = &b->runs[i];
        if (fds[2 * i + 1].revents)
            (void)drain(b, r, &r->out_fd, false);
        if (fds[2 * i].revents && !drain(b, r, &r->result_fd, true))
            TRY(finish(b, i));
    }
    return NULL;
}

/* Waits until something happens at a step. */
static fallible wait_some(struct build *b, int signals)
{
    struct pollfd *fds = NULL;
    size_t n = list_fds(b, &fds), at = 0;
    err *e = NULL;
    fds[n] = (struct pollfd){ .fd = signals, .events = POLLIN };
    if (poll(fds, n + 1, TICK_MS) < 0 && errno != EINTR)
        e = err_sys(errno, "wait for the steps");
    if (!e && fds[n].revents)
        e = err_new(ERR_CANCELLED, "the build was told to end");
    for (size_t p = 0; !e && p < b->plans_n; p++) {
        build_use_plan(b, p);
        e = hear_steps(b, fds + at);
        at += 2 * b->stages->n;
    }
    free(fds);
    progress_tick(b->progress);
    return e;
}

static void end_one(struct stage_run *r)
{
    if (!r->pid)
        return;
    base_fetch_stop(r);
    (void)kill(r->pid, SIGTERM); /* a RUN step ends its container first */
    while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close_now(&r->result_fd);
    close_now(&r->out_fd);
    r->pid = 0;
}

/* After an error: no step may live on. */
static void end_all(struct build *b)
{
    for (size_t p = 0; p < b->plans_n; p++)
        for (size_t i = 0; i < b->plans[p].stages->n; i++)
            end_one(&b->plans[p].runs[i]);
}

static bool all_done(const struct build *b)
{
    for (size_t p = 0; p < b->plans_n; p++)
        for (size_t i = 0; i < b->plans[p].stages->n; i++)
            if (b->plans[p].stages->items[i].used && b->plans[p].runs[i].status != STAGE_DONE)
                return false;
    return true;
}

/* The stages of the plan at hand. */
static fallible advance_all(struct build *b, size_t limit)
{
    for (size_t i = 0; i < b->stages->n; i++)
        if (b->stages->items[i].used && b->runs[i].status != STAGE_DONE && b->runs[i].status != STAGE_WORKS)
            TRY(advance(b, i, limit));
    for (size_t i = 0; b->debug && !b->debugged && i < b->stages->n; i++)
        TRY(debug_reached(b, i));
    return NULL;
}

static fallible walk(struct build *b, int signals)
{
    const struct opt_i64 *jobs = &b->o->how.jobs;
    size_t limit = !jobs->set ? pool_cores() + 1 /* one more: steps wait for disks and networks */
                   : jobs->v  ? (size_t)jobs->v
                              : SIZE_MAX;
    for (;;) {
        for (size_t p = 0; p < b->plans_n && !b->debugged; p++) {
            build_use_plan(b, p);
            TRY(advance_all(b, limit));
        }
        if (b->debugged || all_done(b))
            return NULL;
        if (b->working)
            TRY(wait_some(b, signals));
    }
}

fallible build_walk(struct build *b)
{
    sigset_t set, old;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, &old);
    own_fd int signals = signalfd(-1, &set, SFD_CLOEXEC);
    err *e = walk(b, signals);
    end_all(b);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    return e;
}
