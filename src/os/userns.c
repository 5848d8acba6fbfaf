// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/userns.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/ids.h"
#include "os/linux.h"
#include "os/proc.h"
#include "os/sock.h"

bool userns_is_root(void)
{
    return ids_is_root();
}

/* The helper stays outside and writes our maps once we are in; it answers an error or nothing. */
static fallible map_parent(int sock, pid_t parent, const struct id_map *uids, const struct id_map *gids)
{
    char byte;
    size_t n = 0;
    TRY(sock_recv(sock, &byte, 1, &n, NULL, 0, NULL));
    if (n == 0)
        return NULL; /* the parent could not enter, and says so itself */
    return ids_write_maps(parent, uids, gids);
}

static _Noreturn void mapper(int sock, pid_t parent, const struct id_map *uids, const struct id_map *gids)
{
    char answer[ERR_ENCODED_MAX];
    err *e = map_parent(sock, parent, uids, gids);
    size_t n = e ? err_encode(e, answer, sizeof answer) : 0;
    if (n)
        err_ignore(sock_send(sock, answer, n, NULL, 0), "the parent is gone");
    _exit(e ? 1 : 0);
}

static fallible entered(int sock)
{
    char answer[ERR_ENCODED_MAX];
    size_t n = 0;
    TRY(sock_send(sock, "", 1, NULL, 0));
    TRY(sock_recv(sock, answer, sizeof answer, &n, NULL, 0, NULL));
    if (n)
        return err_decode(answer, n);
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(errno, "become root of the user namespace");
    /* mounts made from here on die with us and are seen by nobody else */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_sys(errno, "make mounts private");
    return NULL;
}

fallible userns_enter(void)
{
    own(id_map) struct id_map uids = { 0 };
    own(id_map) struct id_map gids = { 0 };
    own_mem char *note = NULL;
    own_fd int ours = -1;
    own_fd int theirs = -1;
    own_fd int pidfd = -1;
    int pair[2], status = 0;
    pid_t self = getpid(), pid = 0;

    if (userns_is_root())
        return NULL;
    TRY(ids_rootless_maps(&uids, &gids, &note));
    if (note)
        log_warn("%s", note);
    TRY(sock_pair(pair));
    ours = pair[0];
    theirs = pair[1];
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        close_now(&ours);
        mapper(theirs, self, &uids, &gids);
    }
    close_now(&theirs);
    err *e = NULL;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        e = err_sys(errno, "make a user namespace%s",
                    errno == EPERM
                        ? " (is kernel.unprivileged_userns_clone or user.max_user_namespaces 0, or are we in a chroot? "
                          "In a container of root's: start that one with --userns auto)"
                        : "");
    else
        e = entered(ours);
    close_now(&ours);
    err_ignore(proc_wait(pidfd, -1, &status), "the mapper has answered already");
    return e;
}

/* Our files in /proc stay the user's own: whoever is root there must be able to write them. */
static fallible join(int user_fd)
{
    if (setns(user_fd, CLONE_NEWUSER) < 0)
        return err_sys(errno, "enter the user namespace");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(errno, "become root of the user namespace");
    return NULL;
}

static _Noreturn void call_entered(int sock, int user_fd, err *(*fn)(void *ctx), void *ctx)
{
    char answer[ERR_ENCODED_MAX];
    err *e = user_fd < 0 ? userns_enter() : join(user_fd);
    if (!e)
        e = fn(ctx);
    if (e) {
        size_t n = err_encode(e, answer, sizeof answer);
        err_ignore(sock_send(sock, answer, n, NULL, 0), "the caller is gone");
    }
    _exit(e ? 1 : 0);
}

static fallible call_in_child(int user_fd, err *(*fn)(void *ctx), void *ctx)
{
    own_fd int ours = -1;
    own_fd int theirs = -1;
    own_fd int pidfd = -1;
    char answer[ERR_ENCODED_MAX];
    size_t n = 0;
    int pair[2], status = 0;
    pid_t pid = 0;

    TRY(sock_pair(pair));
    ours = pair[0];
    theirs = pair[1];
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        close_now(&ours);
        call_entered(theirs, user_fd, fn, ctx);
    }
    close_now(&theirs);
    TRY(sock_recv(ours, answer, sizeof answer, &n, NULL, 0, NULL));
    TRY(proc_wait(pidfd, -1, &status));
    if (n)
        return err_decode(answer, n);
    if (status != 0)
        return err_new(ERR_UNAVAILABLE, "the helper in the user namespace is gone: exit code %d",
                       proc_exit_code(status));
    return NULL;
}

fallible userns_call(err *(*fn)(void *ctx), void *ctx)
{
    return userns_is_root() ? fn(ctx) : call_in_child(-1, fn, ctx);
}

fallible userns_call_in(int user_fd, err *(*fn)(void *ctx), void *ctx)
{
    return call_in_child(user_fd, fn, ctx);
}
