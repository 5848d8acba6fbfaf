/*
 * husk-oci events: what a container uses, and when it runs out of memory.
 * Compatible with: runc events.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "oci/oci.h"
#include "oci/stats.h"
#include "os/fs.h"
#include "os/proc.h"

struct events_opts {
    struct opt_u64 interval;
    bool stats;
};
#define T struct events_opts
static const struct opt events_options[] = {
    OPT_DURATION(0, "interval", T, interval, "DURATION", "How often to print what it uses (default 5s)"),
    OPT_FLAG(0, "stats", T, stats, "Print it once and end"),
    OPT_END,
};
#undef T

struct watch {
    const char *id;
    struct cgroup *group;
    int oom_fd;     /* readable (v1's eventfd) or POLLPRI (v2's memory.events) when memory ran out; -1: cannot */
    int v1_control; /* memory.oom_control, which the eventfd watches */
    bool v2;
    uint64_t ooms; /* v2: how many there were */
};

static fallible print_event(const char *type, const char *id, json_t *take_data)
{
    own_json json_t *event = json_pack("{s:s, s:s}", "type", type, "id", id);
    if (take_data)
        json_object_set_new(event, "data", take_data);
    own_mem char *text = json_text(event, BIND_COMPACT);
    if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
        return err_sys(errno, "print the event");
    return NULL;
}

static uint64_t ooms_now(int fd)
{
    char text[512] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    const char *at = n > 0 ? strstr(text, "oom_kill ") : NULL;
    return at ? strtoull(at + 9, NULL, 10) : 0;
}

/* Source: Documentation/admin-guide/cgroup-v1/memory.rst, 10 "OOM Control"; cgroup-v2.rst, "memory.events". */
static fallible watch_oom(struct watch *w)
{
    const char *dir = stats_dir(w->group, "memory", &w->v2);
    if (!dir)
        return NULL;
    own_mem char *file = mem_printf("%s/%s", dir, w->v2 ? "memory.events" : "memory.oom_control");
    own_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", file);
    if (w->v2) {
        w->ooms = ooms_now(fd);
        w->oom_fd = take_fd(&fd);
        return NULL;
    }
    own_mem char *control = mem_printf("%s/cgroup.event_control", dir);
    own_fd int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0)
        return err_sys(errno, "make an event");
    own_mem char *order = mem_printf("%d %d", event, fd);
    TRY(fs_write_at(AT_FDCWD, control, order));
    w->v1_control = take_fd(&fd);
    w->oom_fd = take_fd(&event);
    return NULL;
}

/* The group's end wakes v1's eventfd as well: what ended is no shortage. */
static fallible tell_oom(struct watch *w)
{
    uint64_t n = 0;
    if (w->v2) {
        n = ooms_now(w->oom_fd);
        bool more = n > w->ooms;
        w->ooms = more ? n : w->ooms;
        return more ? print_event("oom", w->id, NULL) : NULL;
    }
    char probe[8];
    if (read(w->oom_fd, &n, sizeof n) != sizeof n || pread(w->v1_control, probe, sizeof probe, 0) < 0)
        return NULL;
    return print_event("oom", w->id, NULL);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static fallible watch_until_end(struct watch *w, int pidfd, int64_t interval_ms)
{
    struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = w->oom_fd, .events = w->v2 ? POLLPRI : POLLIN } };
    for (int64_t next = now_ms() + interval_ms;;) {
        int64_t left = next - now_ms();
        int n = poll(p, 2, left > 0 ? (int)left : 0);
        if (n < 0 && errno != EINTR)
            return err_sys(errno, "wait for events");
        if (n > 0 && p[1].revents)
            TRY(tell_oom(w));
        if (n > 0 && p[0].revents)
            return NULL;
        if (now_ms() < next)
            continue;
        TRY(print_event("stats", w->id, stats_json(w->group)));
        next = now_ms() + interval_ms;
    }
}

static fallible events_run(const void *opts, struct args args)
{
    const struct events_opts *o = opts;
    own_mem char *dir = NULL;
    own(runtime_state) struct runtime_state *s = NULL;
    own(cgroup) struct cgroup *group = NULL;
    own_fd int pidfd = -1;
    uint64_t ms = o->interval.set ? o->interval.v / 1000000 : 5000;
    if (ms < 1 || ms > INT32_MAX)
        return err_new(ERR_INVALID, "--interval: from 1ms to 24 days");
    TRY(oci_state_dir(args.v[0], &dir));
    TRY(runtime_state_read(dir, &s));
    if (s->status == RUNTIME_STOPPED || s->status == RUNTIME_CREATING)
        return err_new(ERR_CONFLICT, "cannot watch container '%s': it is %s", s->id, runtime_status_word(s->status));
    if (!s->cgroup_path)
        return err_new(ERR_UNSUPPORTED, "cannot watch container '%s': it has no control group that would count", s->id);
    TRY(cgroup_find(s->cgroup_path, &group));
    if (o->stats)
        return print_event("stats", s->id, stats_json(group));
    struct watch w = { .id = s->id, .group = group, .oom_fd = -1, .v1_control = -1 };
    err *e = proc_open(s->init, &pidfd);
    if (!e)
        e = watch_oom(&w);
    if (!e)
        e = watch_until_end(&w, pidfd, (int64_t)ms);
    close_now(&w.oom_fd);
    close_now(&w.v1_control);
    return e;
}

const struct command oci_cmd_events = {
    .name = "events",
    .args = "ID",
    .summary = "Print what a container uses, and when memory runs out, as JSON",
    .opts = events_options,
    .opts_size = sizeof(struct events_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = events_run,
};
