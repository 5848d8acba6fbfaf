// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "monitor/keys.h"
#include "monitor/monitor.h"
#include "monitor/relay.h"
#include "monitor/terminal.h"
#include "os/fs.h"
#include "os/sock.h"

struct session {
    const struct attach *a;
    struct relay_input input;
    char *frame;              /* MONITOR_FRAME_MAX bytes */
    size_t frame_n, frame_at; /* output that is still to be written */
    bool exited;
    int code;
};

fallible attach_connect(const char *state_dir, int *ret_sock)
{
    own_fd int dir_fd = -1;
    TRY_AS(fs_open_dir_at(AT_FDCWD, state_dir, FS_MUST_EXIST, &dir_fd), "attach");
    TRY_AS(sock_connect_at(dir_fd, "attach.sock", SOCK_SEQPACKET, ret_sock), "attach");
    return NULL;
}

fallible attach_keys_check(const char *detach_keys)
{
    struct keys keys;
    return keys_parse(detach_keys, &keys);
}

fallible attach_cleaned(int sock)
{
    const char frame = MONITOR_CLEANED;
    return sock_send(sock, &frame, 1, NULL, 0);
}

static int stream_of(const struct session *s)
{
    if (s->frame[0] == MONITOR_STDOUT)
        return s->a->no_stdout ? -1 : 1;
    return s->a->no_stderr ? -1 : 2;
}

/* One frame from the monitor. *ret_end: there are no more. */
static fallible take_frame(struct session *s, bool *ret_end)
{
    int fds[1] = { -1 };
    size_t n = 0, fd_n = 0;
    err *e = sock_recv(s->a->sock, s->frame, MONITOR_FRAME_MAX, &n, fds, 1, &fd_n);
    if (e && err_errno(e) == ECONNRESET) { /* it closed with words of ours unread; its own are still there */
        err_free(e);
        e = sock_recv(s->a->sock, s->frame, MONITOR_FRAME_MAX, &n, fds, 1, &fd_n);
    }
    TRY(e);
    if (n == 0) {
        *ret_end = true;
        return NULL;
    }
    switch ((enum monitor_frame)s->frame[0]) {
    case MONITOR_STDOUT:
    case MONITOR_STDERR:
        s->frame_at = 1;
        s->frame_n = stream_of(s) < 0 ? 0 : n;
        return NULL;
    case MONITOR_INPUT_FD:
        if (fd_n)
            relay_input_open(&s->input, fds[0]);
        return NULL;
    case MONITOR_EXIT:
        if (n == 1 + sizeof(uint32_t)) {
            uint32_t code = 0;
            memcpy(&code, s->frame + 1, sizeof code);
            s->code = (int)code;
            s->exited = true;
        }
        *ret_end = true;
        return NULL;
    case MONITOR_RESIZE:
    case MONITOR_SIGNAL:
    case MONITOR_WITHOUT:
    case MONITOR_CLEANED:
    case MONITOR_RESTART:
    case MONITOR_LEASES:
    case MONITOR_LOG: /* an answer, and we have not asked */
        return NULL;  /* ours to say */
    }
    return NULL; /* from a newer monitor */
}

/* Output is passed on in pieces that do not block while there is input to pass on as well: a program on the other side
 * of our pipes may want to be fed before it reads. */
static fallible write_output(struct session *s, bool ready)
{
    int fd = stream_of(s);
    size_t left = s->frame_n - s->frame_at;
    if (!relay_input_active(&s->input)) {
        TRY(relay_write_all(fd, s->frame + s->frame_at, left));
        s->frame_at = s->frame_n;
    } else if (ready) {
        TRY(relay_write_some(fd, s->frame, &s->frame_at, s->frame_n));
    }
    return NULL;
}

static fallible run(struct session *s, bool *ret_detached)
{
    bool end = false;
    while (!end && !*ret_detached) {
        bool writing = s->frame_at < s->frame_n;
        struct pollfd p[4] = { { writing ? -1 : s->a->sock, POLLIN, 0 }, { writing ? stream_of(s) : -1, POLLOUT, 0 } };
        relay_input_poll(&s->input, &p[2], &p[3]);
        if (!writing || relay_input_active(&s->input))
            while (poll(p, ARRAY_SIZE(p), -1) < 0)
                if (errno != EINTR)
                    return err_sys(errno, "wait for the container");
        if (writing)
            TRY(write_output(s, p[1].revents != 0));
        else if (p[0].revents)
            TRY(take_frame(s, &end));
        relay_input_move(&s->input, p[2].revents, p[3].revents, ret_detached);
    }
    return NULL;
}

/* A monitor that is gone already is seen when its frames are read: the last of them may say how it ended. */
static fallible say(int sock, const char *frame, size_t n)
{
    if (send(sock, frame, n, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        return err_sys(errno, "talk to the container's monitor");
    return NULL;
}

/* What the monitor says until it answers is in the log too. */
static fallible show_log(struct session *s)
{
    static const char question = MONITOR_LOG;
    const struct attach *a = s->a;
    struct log_filter f = { .tail = -1, .no_stdout = a->no_stdout, .no_stderr = a->no_stderr };
    uint64_t end[2];
    size_t n = 0, fd_n = 0;
    int fd = -1;
    TRY(say(a->sock, &question, 1));
    for (;;) {
        TRY(sock_recv(a->sock, s->frame, MONITOR_FRAME_MAX, &n, &fd, 1, &fd_n));
        if (fd_n)
            close_now(&fd);
        if (n == 0 || (n && s->frame[0] == MONITOR_EXIT)) { /* it has ended just now: the log is all there is */
            if (n == 1 + sizeof(uint32_t)) {
                uint32_t code;
                memcpy(&code, s->frame + 1, sizeof code);
                s->code = (int)code;
                s->exited = true;
            }
            return logs_print(a->log_dir, &f);
        }
        if (s->frame[0] == MONITOR_LOG && n == 1 + sizeof end)
            break;
    }
    memcpy(end, s->frame + 1, sizeof end);
    f.end_inode = end[0];
    f.end_offset = end[1];
    return end[0] ? logs_print(a->log_dir, &f) : NULL;
}

static fallible ask(const struct attach *a)
{
    const char input = MONITOR_INPUT;
    const char without[] = { MONITOR_WITHOUT, (char)(a->no_stdout | a->no_stderr << 1) };
    if (without[1])
        TRY(say(a->sock, without, sizeof without));
    return a->stdin_open ? say(a->sock, &input, 1) : NULL;
}

fallible attach_run(const struct attach *a, enum attach_end *ret_end, int *ret_code)
{
    const struct terminal terminal = { .sock = a->sock,
                                       .master_fd = -1,
                                       .pidfd = -1,
                                       .raw = a->tty && a->stdin_open,
                                       .sizes = a->tty,
                                       .sig_proxy = a->sig_proxy };
    bool detached = false;
    own_mem char *frame = mem_alloc(MONITOR_FRAME_MAX), *buffer = mem_alloc(RELAY_BUFFER);
    struct session s = { .a = a, .frame = frame };
    relay_input_init(&s.input, buffer);
    if (a->tty && a->stdin_open)
        TRY_AS(keys_parse(a->detach_keys, &s.input.keys), "detach keys");
    TRY(terminal_begin(&terminal));
    err *e = a->log_dir ? show_log(&s) : NULL;
    if (!e)
        e = ask(a);
    if (!e && !s.exited)
        e = run(&s, &detached);
    terminal_end();
    relay_input_close(&s.input);
    TRY(e);
    *ret_end = detached ? ATTACH_DETACHED : s.exited ? ATTACH_EXITED : ATTACH_LOST;
    if (s.exited)
        *ret_code = s.code;
    return NULL;
}
