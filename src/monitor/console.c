// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "monitor/attach.h"
#include "monitor/relay.h"
#include "monitor/terminal.h"
#include "os/linux.h"
#include "os/proc.h"

enum { CHUNK = 32768 };

/* One read of what the program wrote. False: nothing more is there (EAGAIN), or will come (EIO: all have closed it). */
static fallible pass_output(int master_fd, char *chunk, bool *ret_more, bool *ret_over)
{
    ssize_t n = read(master_fd, chunk, CHUNK);
    *ret_more = n > 0;
    if (n > 0)
        return relay_write_all(STDOUT_FILENO, chunk, (size_t)n);
    *ret_over = n == 0 || (errno != EAGAIN && errno != EINTR);
    return NULL;
}

static fallible run(int master_fd, int pidfd, struct relay_input *in, char *chunk, bool *ret_detached)
{
    bool more = false, over = false, dead = false;
    while (!dead && !*ret_detached) {
        struct pollfd p[4] = { { over ? -1 : master_fd, POLLIN, 0 }, { pidfd, POLLIN, 0 } };
        relay_input_poll(in, &p[2], &p[3]);
        while (poll(p, ARRAY_SIZE(p), -1) < 0)
            if (errno != EINTR)
                return err_sys(errno, "wait for the program");
        if (p[0].revents)
            TRY(pass_output(master_fd, chunk, &more, &over));
        relay_input_move(in, p[2].revents, p[3].revents, ret_detached);
        dead = p[1].revents != 0;
    }
    for (more = dead; more && !over;)
        TRY(pass_output(master_fd, chunk, &more, &over));
    return NULL;
}

fallible attach_console(int master_fd, int child_pidfd, bool stdin_open, const char *detach_keys,
                        enum attach_end *ret_end, int *ret_wait_status)
{
    const struct terminal terminal = { .sock = -1,
                                       .master_fd = master_fd,
                                       .pidfd = child_pidfd,
                                       .raw = master_fd >= 0 && stdin_open,
                                       .sizes = master_fd >= 0,
                                       .sig_proxy = true };
    bool detached = false;
    own_mem char *chunk = mem_alloc(CHUNK), *buffer = mem_alloc(RELAY_BUFFER);
    struct relay_input in;
    relay_input_init(&in, buffer);
    if (master_fd >= 0 && stdin_open) {
        int fd = fcntl(master_fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return err_sys(errno, "copy the terminal's descriptor");
        relay_input_open(&in, fd);
        TRY_AS(keys_parse(detach_keys, &in.keys), "detach keys");
    }
    TRY(terminal_begin(&terminal));
    err *e = NULL;
    if (master_fd >= 0) {
        (void)fcntl(master_fd, F_SETFL, O_RDWR | O_NONBLOCK);
        e = run(master_fd, child_pidfd, &in, chunk, &detached);
    }
    if (!e && !detached)
        e = proc_wait(child_pidfd, -1, ret_wait_status);
    terminal_end();
    relay_input_close(&in);
    TRY(e);
    *ret_end = detached ? ATTACH_DETACHED : ATTACH_EXITED;
    return NULL;
}

/* What the program writes is read, or it would stop when the terminal is full; its end, or everybody's closing of the
 * terminal, ends us. */
static _Noreturn void hold_console(int master_fd, int pidfd)
{
    char chunk[4096];
    struct pollfd p[] = { { master_fd, POLLIN, 0 }, { pidfd, POLLIN, 0 } };
    while (!p[1].revents) {
        if (poll(p, ARRAY_SIZE(p), p[0].fd < 0 ? 1000 : -1) < 0 && errno != EINTR)
            break;
        /* Nobody has it open now; the program may open it again, and how is not told. */
        ssize_t n = p[0].fd >= 0 && p[0].revents ? read(master_fd, chunk, sizeof chunk) : 1;
        p[0].fd = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ? -1 : master_fd;
    }
    _exit(0);
}

fallible attach_console_keep(int master_fd, int child_pidfd)
{
    enum { MASTER = 3, PIDFD, FIRST_FREE };
    own_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC),
               high_master = fcntl(master_fd, F_DUPFD_CLOEXEC, FIRST_FREE),
               high_pidfd = fcntl(child_pidfd, F_DUPFD_CLOEXEC, FIRST_FREE);
    pid_t pid = null < 0 || high_master < 0 || high_pidfd < 0 ? -1 : fork();
    if (pid < 0)
        return err_sys(errno, "leave the terminal to a process that holds it");
    if (pid > 0)
        return NULL;
    for (int i = 0; i < 3; i++)
        (void)dup2(null, i);
    (void)dup2(high_master, MASTER);
    (void)dup2(high_pidfd, PIDFD);
    (void)close_range(FIRST_FREE, ~0u, 0);
    (void)setsid();
    (void)chdir("/");
    (void)fcntl(MASTER, F_SETFL, O_RDWR | O_NONBLOCK);
    hold_console(MASTER, PIDFD);
}
