// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "monitor/attach.h"
#include "monitor/relay.h"
#include "monitor/terminal.h"
#include "os/proc.h"

enum { CHUNK = 32768, OUTPUTS = 2 };

void attach_pipes_init(struct attach_pipes *p)
{
    for (int i = 0; i < 3; i++)
        p->ours[i] = p->theirs[i] = -1;
}

void attach_pipes_close(struct attach_pipes *p)
{
    for (int i = 0; i < 3; i++) {
        own_drop_fd(&p->ours[i]);
        own_drop_fd(&p->theirs[i]);
    }
}

fallible attach_pipes_make(struct attach_pipes *p, bool with_stdin)
{
    for (int i = with_stdin ? 0 : 1; i < 3; i++) {
        int ends[2];
        if (!isatty(i))
            continue;
        if (pipe2(ends, O_CLOEXEC) < 0)
            return err_sys(errno, "make a pipe");
        p->ours[i] = ends[i == 0 ? 1 : 0];
        p->theirs[i] = ends[i == 0 ? 0 : 1];
        /* ours never blocks: the program may read or write as it likes */
        if (fcntl(p->ours[i], F_SETFL, O_NONBLOCK) < 0)
            return err_sys(errno, "make a pipe");
    }
    return NULL;
}

/* What is there now; the descriptor is closed at its end. */
static fallible pass(int *from, int to, char *chunk)
{
    for (;;) {
        ssize_t n = read(*from, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return NULL;
        if (n <= 0) {
            own_drop_fd(from);
            return NULL;
        }
        TRY(relay_write_all(to, chunk, (size_t)n));
        if (n < CHUNK)
            return NULL;
    }
}

static fallible run(struct attach_pipes *p, int pidfd, struct relay_input *in, char *chunk)
{
    for (bool dead = false, detached = false; !dead;) {
        struct pollfd polls[5] = { { p->ours[1], POLLIN, 0 }, { p->ours[2], POLLIN, 0 }, { pidfd, POLLIN, 0 } };
        relay_input_poll(in, &polls[3], &polls[4]);
        while (poll(polls, ARRAY_SIZE(polls), -1) < 0)
            if (errno != EINTR)
                return err_sys(errno, "wait for the program");
        for (int i = 1; i <= OUTPUTS; i++)
            if (polls[i - 1].revents)
                TRY(pass(&p->ours[i], i, chunk));
        relay_input_move(in, polls[3].revents, polls[4].revents, &detached);
        dead = polls[2].revents != 0;
    }
    for (int i = 1; i <= OUTPUTS; i++)
        if (p->ours[i] >= 0)
            TRY(pass(&p->ours[i], i, chunk));
    return NULL;
}

fallible attach_pipes_run(struct attach_pipes *p, int child_pidfd, int *ret_wait_status)
{
    const struct terminal terminal = { .sock = -1, .master_fd = -1, .pidfd = child_pidfd, .sig_proxy = true };
    own_mem char *chunk = mem_alloc(CHUNK), *buffer = mem_alloc(RELAY_BUFFER);
    struct relay_input in;
    for (int i = 0; i < 3; i++)
        own_drop_fd(&p->theirs[i]); /* or the end of the program's output would never be seen */
    relay_input_init(&in, buffer);
    if (p->ours[0] >= 0)
        relay_input_open(&in, take_fd(&p->ours[0]));
    TRY(terminal_begin(&terminal));
    err *e = run(p, child_pidfd, &in, chunk);
    if (!e)
        e = proc_wait(child_pidfd, -1, ret_wait_status);
    terminal_end();
    relay_input_close(&in);
    return e;
}
