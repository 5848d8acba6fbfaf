// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_linker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "os/proc.h"
#include "os/sock.h"

enum { NAME_BYTES = 256 };

struct linker {
    int sock, pidfd;
};

/* The descriptors say what and where; the name is one in that directory. Another hand could make it no more than links
 * among the files that it may open anyway. */
static _Noreturn void serve(int sock)
{
    (void)signal(SIGINT, SIG_IGN); /* it ends with its parent, by the socket */
    (void)signal(SIGTERM, SIG_IGN);
    for (;;) {
        char name[NAME_BYTES + 1] = "", from[64];
        int fds[2] = { -1, -1 }, answer = EINVAL;
        size_t n = 0, fd_n = 0;
        err *e = sock_recv(sock, name, NAME_BYTES, &n, fds, 2, &fd_n);
        if (e || n == 0)
            _exit(0);
        name[n] = '\0';
        if (fd_n == 2 && !strchr(name, '/')) {
            (void)snprintf(from, sizeof from, "/proc/self/fd/%d", fds[0]);
            answer = linkat(AT_FDCWD, from, fds[1], name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
        }
        for (size_t i = 0; i < fd_n; i++)
            (void)close(fds[i]);
        err_ignore(sock_send(sock, &answer, sizeof answer, NULL, 0), "nobody is there");
    }
}

fallible linker_start(struct linker **ret)
{
    own(linker) struct linker *l = mem_zalloc(sizeof *l);
    int socks[2];
    pid_t pid = -1;
    l->sock = l->pidfd = -1;
    fflush(NULL);
    TRY(sock_pair(socks));
    err *e = proc_clone(0, -1, &pid, &l->pidfd);
    if (!e && pid == 0) {
        (void)close(socks[0]);
        serve(socks[1]);
    }
    (void)close(socks[1]);
    l->sock = socks[0];
    TRY(e);
    *ret = take(l);
    return NULL;
}

err *linker_link(void *ctx, int from_fd, int dir_fd, const char *name, bool *ret_done)
{
    const struct linker *l = ctx;
    int fds[2] = { from_fd, dir_fd }, answer = 0;
    size_t n = 0;
    *ret_done = false;
    if (strlen(name) > NAME_BYTES)
        return NULL;
    TRY(sock_send(l->sock, name, strlen(name), fds, 2));
    TRY(sock_recv(l->sock, &answer, sizeof answer, &n, NULL, 0, NULL));
    if (n != sizeof answer)
        return err_new(ERR_UNAVAILABLE, "the process that makes hard links is gone");
    *ret_done = answer == 0; /* else: another file system, too many links, not ours; it is copied then */
    return NULL;
}

void linker_free(struct linker *l)
{
    int status = 0;
    if (!l)
        return;
    close_now(&l->sock);
    if (l->pidfd >= 0)
        err_ignore(proc_wait(l->pidfd, -1, &status), "it is gone already");
    close_now(&l->pidfd);
    free(l);
}
