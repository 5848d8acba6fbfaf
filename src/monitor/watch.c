// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "monitor/backoff.h"
#include "monitor/clients.h"
#include "monitor/ending.h"
#include "monitor/events.h"
#include "monitor/health.h"
#include "monitor/journal.h"
#include "monitor/leases.h"
#include "monitor/logfile.h"
#include "monitor/names.h"
#include "monitor/pack.h"
#include "monitor/record.h"
#include "os/fs.h"
#include "os/loop.h"

enum {
    CHUNK = MONITOR_FRAME_MAX - 1,
    CHUNK_ROOM = MONITOR_FRAME_MAX,
    LOG_ROOM = (LOGFILE_BUFFER + 4095) & ~4095,
    TAIL_MAX = 1 << 20, /* a pipe's largest size for an ordinary user */
    RECORD_TRIES = 60,
};
#define SECOND_NS 1000000000ull
/* A journal may have room for ten entries only (net.unix.max_dgram_qlen). */
#define JOURNAL_PAUSE_NS     1000000ull
#define JOURNAL_PAUSE_MAX_NS 64000000ull

/* One of the program's output streams. */
struct output {
    int fd; /* -1: it has ended */
    enum line_stream stream;
    char frame;
    struct loop_source *source;
    struct line_cutter cutter;
    char *tail; /* what was left when the program died */
    size_t tail_n;
    struct watch *watch;
};

struct watch {
    const struct monitor_plan *plan;
    int pidfd, stdin_fd, console_fd, lock_fd, record_fd, dir_fd, state_fd;
    int firewall_sock; /* -1, or what ending_clear_network() left open */
    int record_dir_fd; /* where the exit record goes: one of the two before; not owned */
    struct loop *loop;
    struct output output[2];
    struct loop_source *exit_source, *trim_timer, *console_timer, *timeout_timer, *journal_timer;
    uint64_t journal_pause_ns;
    bool trim_set, active; /* the big buffers have been used, and since the timer was set */
    bool ending, cleaned;
    struct clients clients;
    struct logfile log;
    struct journal journal;
    struct client_frame *last;
    char exit_frame[4];
    uint64_t log_end[2]; /* inode and length, for MONITOR_LOG */
    uint64_t world;      /* ending_world() */
    struct monitor_exit record;
    struct backoff backoff;
    struct health health;
    struct names names;
    struct leases leases;
    struct pack pack;
};

/* Whole pages, given back to the kernel when they rest. */
static char chunk[CHUNK_ROOM] __attribute__((aligned(4096)));
static char log_buffer[LOG_ROOM] __attribute__((aligned(4096)));
static char line_ends[2][LINE_TEXT_MAX] __attribute__((aligned(4096)));

/* ---- output ---- */

static void log_line(void *ctx, const char *text, size_t n, bool ended, int64_t time_ns)
{
    struct output *o = ctx;
    logfile_add(&o->watch->log, text, n, ended, o->stream, time_ns);
    if (o->watch->plan->journal_socket)
        journal_add(&o->watch->journal, text, n, ended, o->stream);
}

static err *on_trim(void *ctx)
{
    struct watch *w = ctx;
    if (w->active || clients_busy(&w->clients)) {
        w->active = false;
        return loop_set_timer(w->trim_timer, SECOND_NS);
    }
    w->trim_set = false;
    (void)madvise(chunk, sizeof chunk, MADV_DONTNEED);
    (void)madvise(log_buffer, sizeof log_buffer, MADV_DONTNEED);
    return NULL;
}

/* A container that wrote a lot once is to cost no more than others when it rests. */
static fallible trim_later(struct watch *w, size_t n)
{
    if (n < 1024)
        return NULL;
    w->active = true;
    if (w->trim_set)
        return NULL;
    w->trim_set = true;
    if (w->trim_timer)
        return loop_set_timer(w->trim_timer, SECOND_NS);
    return loop_add_timer(w->loop, SECOND_NS, on_trim, w, &w->trim_timer);
}

static err *on_journal_again(void *ctx)
{
    struct watch *w = ctx;
    size_t before = w->journal.at;
    if (!journal_retry(&w->journal))
        return NULL;
    uint64_t longer = 2 * w->journal_pause_ns < JOURNAL_PAUSE_MAX_NS ? 2 * w->journal_pause_ns : JOURNAL_PAUSE_MAX_NS;
    w->journal_pause_ns = w->journal.at != before ? JOURNAL_PAUSE_NS : longer;
    return loop_set_timer(w->journal_timer, w->journal_pause_ns);
}

/* What waits for the journal is offered again, whether or not more comes. A timer that is set begins anew, so a program
 * that never rests has its own lines do it. */
static fallible retry_later(struct watch *w)
{
    if (!w->journal.used)
        return NULL;
    w->journal_pause_ns = JOURNAL_PAUSE_NS;
    if (w->journal_timer)
        return loop_set_timer(w->journal_timer, JOURNAL_PAUSE_NS);
    return loop_add_timer(w->loop, JOURNAL_PAUSE_NS, on_journal_again, w, &w->journal_timer);
}

static err *on_output(void *ctx, uint32_t events);

static err *on_console_again(void *ctx)
{
    struct output *o = ctx;
    TRY(loop_add_fd(o->watch->loop, o->fd, EPOLLIN, on_output, o, &o->source));
    return NULL;
}

/* End of file, or EIO from a terminal that no process has open. A pipe has ended then; a terminal may be opened again
 * as long as the program lives, so it is looked at once a second. */
static fallible pause_output(struct output *o)
{
    struct watch *w = o->watch;
    line_cut_end(&o->cutter, log_line, o);
    logfile_flush(&w->log);
    loop_remove(o->source);
    o->source = NULL;
    if (o->fd != w->console_fd) {
        own_drop_fd(&o->fd);
        return NULL;
    }
    if (w->console_timer)
        return loop_set_timer(w->console_timer, SECOND_NS);
    return loop_add_timer(w->loop, SECOND_NS, on_console_again, o, &w->console_timer);
}

static fallible hold_output(struct watch *w, uint32_t events)
{
    for (size_t i = 0; i < ARRAY_SIZE(w->output); i++)
        if (w->output[i].source)
            TRY(loop_set_events(w->output[i].source, events));
    return NULL;
}

static err *on_output(void *ctx, uint32_t events)
{
    struct output *o = ctx;
    struct watch *w = o->watch;
    if (clients_busy(&w->clients)) {
        /* Held, and woken all the same: a hangup cannot be masked. The rest is read when the clients have caught up. */
        loop_remove(o->source);
        o->source = NULL;
        return NULL;
    }
    ssize_t n = read(o->fd, chunk, CHUNK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return NULL;
    if (n <= 0)
        return pause_output(o);
    if (w->log.dir_fd >= 0) {
        line_cut(&o->cutter, chunk, (size_t)n, log_line, o);
        logfile_flush(&w->log);
        pack_when_rotated(&w->pack, &w->log);
        TRY(retry_later(w));
    }
    clients_send(&w->clients, o->frame, chunk, (size_t)n);
    if (clients_busy(&w->clients))
        TRY(hold_output(w, 0));
    return trim_later(w, (size_t)n);
}

/* ---- what clients ask ---- */

static int give_input(void *ctx)
{
    struct watch *w = ctx;
    if (w->console_fd >= 0)
        return w->plan->stdin_open ? w->console_fd : -1;
    return w->stdin_fd;
}

static void input_given(void *ctx)
{
    struct watch *w = ctx;
    if (w->plan->stdin_once)
        own_drop_fd(&w->stdin_fd);
}

static void resize(void *ctx, unsigned rows, unsigned columns)
{
    struct watch *w = ctx;
    struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
    if (w->console_fd >= 0)
        (void)ioctl(w->console_fd, TIOCSWINSZ, &size);
}

static void pass_signal(void *ctx, int signal)
{
    struct watch *w = ctx;
    if (!w->ending)
        err_ignore(proc_signal(w->pidfd, signal), "the program is gone");
}

static void cleaned(void *ctx)
{
    struct watch *w = ctx;
    w->cleaned = true;
}

static void set_restart(void *ctx, const char *policy)
{
    struct watch *w = ctx;
    struct restart restart;
    err *e = restart_parse(policy, &restart);
    if (!e)
        w->backoff.restart = restart;
    err_ignore(e, "it was checked by who said it");
}

static void look_at_leases(void *ctx)
{
    struct watch *w = ctx;
    if (!w->ending)
        leases_look(&w->leases);
}

/* The log is written before anything is offered to clients, so that its end is where frames go on. */
static struct client_frame log_answer(void *ctx, int step)
{
    struct watch *w = ctx;
    struct stat st = { 0 };
    const struct output *o = &w->output[CLIENTS_LOG_STEPS - 1 - step];
    if (step < CLIENTS_LOG_STEPS)
        return (struct client_frame){ o->frame, o->cutter.text, o->cutter.n };
    if (w->log.dir_fd >= 0)
        (void)fstatat(w->log.dir_fd, LOGFILE_NAME, &st, AT_SYMLINK_NOFOLLOW);
    w->log_end[0] = st.st_ino;
    w->log_end[1] = (uint64_t)st.st_size;
    return (struct client_frame){ MONITOR_LOG, (const char *)w->log_end, sizeof w->log_end };
}

static void go_on(struct watch *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(w->output); i++) {
        struct output *o = &w->output[i];
        err *e = NULL;
        if (o->source)
            e = loop_set_events(o->source, EPOLLIN);
        else if (o->fd >= 0 && !(o->fd == w->console_fd && w->console_timer))
            e = loop_add_fd(w->loop, o->fd, EPOLLIN, on_output, o, &o->source);
        err_ignore(e, "the stream is drained at the end");
    }
}

static void moved(void *ctx)
{
    struct watch *w = ctx;
    if (w->plan->stdin_once && clients_first_gone(&w->clients))
        own_drop_fd(&w->stdin_fd); /* the one whose input it was to be never asked */
    if (!w->ending) {
        if (!clients_busy(&w->clients))
            go_on(w);
        return;
    }
    if (!w->plan->remove)
        clients_dismiss(&w->clients);
    if (w->backoff.chosen && !w->backoff.over && !w->backoff.given_up)
        return;
    if (w->cleaned || !clients_any(&w->clients))
        loop_quit(w->loop);
}

/* ---- the end ---- */

/* What is left in the pipe or terminal. What strangers who hold the other end write later is not waited for. */
static void drain(struct output *o)
{
    size_t room = 0;
    ssize_t n = 0;
    while (o->fd >= 0 && o->tail_n < TAIL_MAX) {
        if (room - o->tail_n < CHUNK)
            o->tail = mem_realloc(o->tail, room = room * 2 + 2 * CHUNK);
        n = read(o->fd, o->tail + o->tail_n, room - o->tail_n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        line_cut(&o->cutter, o->tail + o->tail_n, (size_t)n, log_line, o);
        o->tail_n += (size_t)n;
    }
    line_cut_end(&o->cutter, log_line, o);
    loop_remove(o->source);
    o->source = NULL;
    if (o->fd != o->watch->console_fd)
        own_drop_fd(&o->fd);
}

static fallible write_record(struct watch *w)
{
    err *e = record_finish(w->record_dir_fd, w->record_fd, &w->record);
    for (int i = 0; e && err_is(e, ERR_EXHAUSTED) && i < RECORD_TRIES; i++) {
        err_free(e); /* no room: as long as this process lives, nothing is lost */
        sleep(1);
        e = record_finish(w->record_dir_fd, -1, &w->record);
    }
    return e;
}

static size_t add_frames(struct client_frame *frames, const struct output *o)
{
    size_t n = 0;
    for (size_t at = 0; at < o->tail_n; at += CHUNK, n++)
        frames[n] = (struct client_frame){ o->frame, o->tail + at, o->tail_n - at < CHUNK ? o->tail_n - at : CHUNK };
    return n;
}

static void tell_clients(struct watch *w)
{
    const struct client_frame *under_way = clients_under_way(&w->clients);
    uint32_t code = (uint32_t)w->record.exit_code;
    size_t n = 0;
    w->last = mem_array(NULL, (w->output[0].tail_n + w->output[1].tail_n) / CHUNK + 4, sizeof *w->last);
    if (under_way)
        w->last[n++] = *under_way;
    n += add_frames(w->last + n, &w->output[0]);
    n += add_frames(w->last + n, &w->output[1]);
    memcpy(w->exit_frame, &code, sizeof code);
    w->last[n++] = (struct client_frame){ MONITOR_EXIT, w->exit_frame, sizeof w->exit_frame };
    clients_last(&w->clients, w->last, n, w->backoff.chosen ? CLIENTS_KEEP_SOCKET : CLIENTS_CLOSE_SOCKET);
}

static void say_end(const struct watch *w)
{
    char code[24], seconds[24];
    const char *slash = strrchr(w->plan->state_dir, '/');
    own_mem char *run = mem_strndup(w->plan->state_dir, slash ? (size_t)(slash - w->plan->state_dir) : 0);
    (void)snprintf(code, sizeof code, "%" PRId64, w->record.exit_code);
    (void)snprintf(seconds, sizeof seconds, "%" PRId64, (w->record.finished_ns - w->record.started_ns) / 1000000000);
    if (w->record.oom_killed)
        event_say(run, "container", "oom", w->plan->id, NULL);
    event_say(run, "container", "die", w->plan->id, "exitCode", code, "execDuration", seconds, "signal",
              w->record.signal ? signal_name((int)w->record.signal) : NULL, NULL);
}

/* Who finds neither process nor record asks for the lock: it is held until the record is there. From the record on,
 * another start may come; it makes its own state_dir, so that what is removed by descriptor here is ours. */
static fallible end_container(struct watch *w)
{
    w->ending = true;
    health_end(&w->health);
    names_end(&w->names);
    leases_end(&w->leases);
    ending_note_task(w->plan, &w->record);
    ending_collect(w->plan, w->pidfd, &w->record);
    ending_clear_cgroup(w->plan, &w->record);
    ending_kill_strays(w->plan, w->world);
    ending_clear_network(w->plan, w->state_fd, &w->firewall_sock);
    for (size_t i = 0; i < ARRAY_SIZE(w->output); i++)
        drain(&w->output[i]);
    logfile_flush(&w->log);
    own_drop_fd(&w->log.fd);
    journal_end(&w->journal);
    w->record.log_dropped = w->log.dropped + w->journal.dropped;
    bool again = backoff_choose(&w->backoff, &w->record);
    TRY(write_record(w));
    say_end(w);
    (void)unlinkat(w->state_fd, "stdout", 0);
    (void)unlinkat(w->state_fd, "stderr", 0);
    if (again)
        return NULL;
    (void)unlinkat(w->state_fd, "attach.sock", 0);
    own_drop_fd(&w->lock_fd);
    return NULL;
}

static err *on_exit_event(void *ctx, uint32_t events)
{
    struct watch *w = ctx;
    loop_remove(w->exit_source); /* it stays readable */
    TRY(end_container(w));
    tell_clients(w);
    if (w->backoff.chosen)
        TRY(backoff_begin(&w->backoff, w->loop));
    moved(w);
    return NULL;
}

static err *on_timeout(void *ctx)
{
    struct watch *w = ctx;
    w->record.timed_out = true;
    ending_kill(w->plan, w->pidfd);
    return NULL;
}

/* From the start on, also for one whose monitor is not the first. */
static fallible begin_timeout(struct watch *w)
{
    struct timespec now;
    if (w->plan->timeout_s <= 0)
        return NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t ran = now.tv_sec - w->plan->started_ns / 1000000000, left = w->plan->timeout_s - (ran > 0 ? ran : 0);
    return loop_add_timer(w->loop, left > 0 ? (uint64_t)left * SECOND_NS : 1, on_timeout, w, &w->timeout_timer);
}

/* ---- the beginning ---- */

/* Children that the program's processes left to us (a container in the host's pid namespace), and health checks. */
static err *on_child(void *ctx, const siginfo_t *unused)
{
    struct watch *w = ctx;
    for (;;) {
        siginfo_t info = { 0 };
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || info.si_pid == 0 ||
            info.si_pid == w->plan->init.pid)
            return NULL;
        int status = 0;
        if (waitpid(info.si_pid, &status, WNOHANG | __WALL) == info.si_pid) {
            health_reaped(&w->health, info.si_pid, status);
            names_reaped(&w->names, info.si_pid);
            pack_reaped(&w->pack, &w->log, info.si_pid);
        }
    }
}

static void set_output(struct watch *w, size_t i, int fd, enum line_stream stream, char frame)
{
    w->output[i].watch = w;
    w->output[i].fd = fd;
    w->output[i].stream = stream;
    w->output[i].frame = frame;
    w->output[i].cutter.text = line_ends[i];
    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, O_NONBLOCK | (fcntl(fd, F_GETFL) & O_ACCMODE));
}

static fallible prepare(struct watch *w, const int fds[PLAN_FDS])
{
    const struct monitor_plan *plan = w->plan;
    const struct client_owner owner = { w,       give_input,  input_given,    resize,     pass_signal,
                                        cleaned, set_restart, look_at_leases, log_answer, moved };
    sigset_t child;
    bool wants_log = str_eq(plan->log_driver, "json-file") || str_eq(plan->log_driver, "journald");
    err_ignore(fs_open_dir_at(AT_FDCWD, plan->dir, FS_MUST_EXIST, &w->dir_fd), "seen when the record is written");
    err_ignore(fs_open_dir_at(AT_FDCWD, plan->state_dir, FS_MUST_EXIST, &w->state_fd), "only names to remove are lost");
    w->backoff.dir_fd = w->dir_fd;
    logfile_open(&w->log, wants_log ? w->dir_fd : -1, log_buffer, plan->log_max_bytes, plan->log_max_files);
    w->log.attrs = plan->log_attrs;
    w->log.packs = plan->log_compress;
    w->pack.plan = plan;
    logfile_limit_age(&w->log, plan->log_max_age_s);
    journal_open(&w->journal, plan->journal_socket, plan->journal_fields, plan->journal_buffer);
    w->world = ending_world(plan);
    w->record_dir_fd = plan->remove ? w->state_fd : w->dir_fd;
    w->record_fd = -1;
    if (!plan->remove) /* the run-time directory is memory, and a file there costs a tenth of one on a disk */
        record_reserve(w->dir_fd, &w->record_fd);
    TRY(loop_new(&w->loop));
    TRY(clients_open(&w->clients, w->loop, fds[PLAN_FD_LISTEN], fds[PLAN_FD_CLIENT], &owner));
    for (size_t i = 0; i < ARRAY_SIZE(w->output); i++)
        if (w->output[i].fd >= 0)
            TRY(loop_add_fd(w->loop, w->output[i].fd, EPOLLIN, on_output, &w->output[i], &w->output[i].source));
    TRY(loop_add_fd(w->loop, w->pidfd, EPOLLIN, on_exit_event, w, &w->exit_source));
    TRY(begin_timeout(w));
    TRY(health_begin(&w->health, w->plan, w->loop));
    TRY(names_begin(&w->names, w->plan, w->loop, w->state_fd));
    leases_begin(&w->leases, w->plan, w->loop, w->state_fd);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    return loop_add_signals(w->loop, &child, on_child, w);
}

/* Without a loop (no descriptors left, no memory) the container still runs, its output does not block it, and its end
 * is recorded, with the reason why nobody could attach and the log is short. */
static fallible watch_blind(struct watch *w, const err *why)
{
    struct pollfd p[] = { { w->pidfd, POLLIN, 0 }, { w->output[0].fd, POLLIN, 0 }, { w->output[1].fd, POLLIN, 0 } };
    w->record.error = mem_printf("watch the container: %s", err_text(why));
    logfile_note(&w->log, w->record.error);
    while (!(p[0].revents & POLLIN)) {
        if (poll(p, ARRAY_SIZE(p), -1) < 0)
            continue;
        for (size_t i = 1; i < ARRAY_SIZE(p); i++)
            if (p[i].revents && read(p[i].fd, chunk, CHUNK) <= 0 && errno != EAGAIN)
                p[i].fd = -1;
    }
    TRY(end_container(w));
    if (w->backoff.chosen)
        backoff_sleep(&w->backoff);
    return NULL;
}

fallible watch_run(const struct monitor_plan *plan, const int fds[PLAN_FDS], enum watch_end *ret)
{
    static struct watch w; /* big, and zero pages until they are used */
    w.plan = plan;
    w.pidfd = fds[PLAN_FD_PIDFD];
    w.stdin_fd = fds[PLAN_FD_STDIN];
    w.console_fd = fds[PLAN_FD_CONSOLE];
    w.lock_fd = fds[PLAN_FD_LOCK];
    w.dir_fd = w.state_fd = w.firewall_sock = -1;
    w.record.started_ns = plan->started_ns;
    w.backoff = (struct backoff){ .count = plan->restart_count,
                                  .delay_ns = plan->restart_delay_ns,
                                  .listen_fd = fds[PLAN_FD_LISTEN],
                                  .changed = moved,
                                  .ctx = &w };
    if (plan->restart)
        set_restart(&w, plan->restart);
    set_output(&w, 0, w.console_fd >= 0 ? w.console_fd : fds[PLAN_FD_STDOUT], LINE_STDOUT, MONITOR_STDOUT);
    set_output(&w, 1, fds[PLAN_FD_STDERR], LINE_STDERR, MONITOR_STDERR);
    own(err) err *e = prepare(&w, fds);
    if (!e)
        e = loop_run(w.loop);
    if (e && !w.ending)
        TRY(watch_blind(&w, e));
    else if (e)
        return take(e);
    *ret = w.backoff.chosen && !w.backoff.given_up ? WATCH_RESTART : w.cleaned ? WATCH_CLEANED : WATCH_ENDED;
    return NULL;
}
