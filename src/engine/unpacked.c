// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/unpacked.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/own.h"
#include "os/proc.h"

static fallible read_begin(int fd, struct unpacked *u)
{
    while (u->begin_n < sizeof u->begin) {
        ssize_t n = read(fd, u->begin + u->begin_n, sizeof u->begin - u->begin_n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read the archive");
        if (n == 0)
            break;
        u->begin_n += (size_t)n;
    }
    return NULL;
}

/* The bytes that were read are no secret and few: they go along as a word. */
static fallible start(int fd, struct unpacked *u)
{
    int ends[2];
    char word[2 * STREAM_MAGIC_SIZE + 1];
    own_mem char *program = NULL;
    TRY(self_find_program("husk-image", &program));
    for (size_t i = 0; i < u->begin_n; i++)
        (void)snprintf(word + 2 * i, 3, "%02x", u->begin[i]);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int ours = ends[0];
    own_fd int theirs = ends[1];
    char *argv[] = { program, (char[]){ "unpack-stream" }, word, NULL };
    TRY(spawn_start(&(struct spawn){ .argv = argv, .stdin_fd = fd, .stdout_fd = theirs, .stderr_fd = -1 }, &u->pidfd));
    u->fd = u->pipe_fd = take_fd(&ours);
    u->begin_n = 0;
    return NULL;
}

fallible unpacked_begin(int fd, struct unpacked *ret)
{
    *ret = UNPACKED_NONE;
    ret->fd = fd;
    TRY(read_begin(fd, ret));
    return stream_form_of(ret->begin, ret->begin_n) == STREAM_PLAIN ? NULL : start(fd, ret);
}

fallible unpacked_end(struct unpacked *u, err *take_e)
{
    int status = 0;
    if (u->pidfd < 0)
        return take_e;
    close_now(&u->pipe_fd);
    if (take_e) /* it may wait for more; one whose failure this follows from has ended before we read its end */
        err_ignore(proc_signal(u->pidfd, SIGKILL), "it has ended");
    err *e = proc_wait(u->pidfd, -1, &status);
    close_now(&u->pidfd);
    if (!e && proc_exit_code(status) == 1) { /* it has said by itself what is wrong with the archive */
        err_free(take_e);
        return err_exit(1);
    }
    if (!e && !take_e && proc_exit_code(status) != 0)
        e = err_new(ERR_UNAVAILABLE, "who unpacks the archive ended with status %d", proc_exit_code(status));
    if (take_e)
        err_ignore(e, "the reader's own error says more");
    return take_e ? take_e : e;
}
