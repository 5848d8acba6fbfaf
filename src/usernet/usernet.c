// SPDX-License-Identifier: GPL-2.0-or-later
#include "usernet/usernet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "os/daemon.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/linux.h"
#include "os/proc.h"
#include "os/sock.h"

void usernet_close(struct usernet *u)
{
    close_now(&u->sock);
    close_now(&u->user_fd);
    close_now(&u->net_fd);
}

bool usernet_needed(void)
{
    return !ids_is_root();
}

/* ---- one question, one answer ---- */

static fallible ask(int sock, const struct usernet_message *m, int fd, struct usernet_answer *ret, int *ret_fds,
                    size_t fds_max)
{
    size_t n = 0, fds = 0;
    TRY(sock_send(sock, m, sizeof *m, &fd, fd >= 0));
    TRY(sock_recv(sock, ret, sizeof *ret, &n, ret_fds, fds_max, &fds));
    if (n != sizeof *ret)
        return err_new(ERR_UNAVAILABLE, "the holder of the user's networks is gone");
    if (ret->failed)
        return err_decode(ret->error, ret->error_n <= sizeof ret->error ? ret->error_n : 0);
    return fds == fds_max ? NULL : err_new(ERR_UNAVAILABLE, "the holder of the user's networks answers too little");
}

static fallible enter(int sock, struct usernet *ret)
{
    const struct usernet_message m = { .kind = USERNET_ENTER };
    struct usernet_answer a;
    int fds[2] = { -1, -1 };
    TRY(ask(sock, &m, -1, &a, fds, 2));
    ret->user_fd = fds[0];
    ret->net_fd = fds[1];
    ret->holder = a.pid;
    ret->whole = a.whole;
    ret->lost = a.lost;
    return NULL;
}

/* A holder that is just ending has a socket that still answers to its name for a moment: that is none, too. */
fallible usernet_find_at(int run_fd, struct usernet *ret)
{
    struct usernet u = USERNET_NONE;
    own_fd int sock = -1;
    err *e = sock_connect_at(run_fd, USERNET_SOCKET, SOCK_SEQPACKET, &sock);
    if (!e)
        e = enter(sock, &u);
    if (e) {
        usernet_close(&u);
        err_ignore(e, "it is not there, or was killed");
        return err_new(ERR_NOT_FOUND, "the user's networks are not up");
    }
    u.sock = take_fd(&sock);
    *ret = u;
    return NULL;
}

fallible usernet_find(const char *run, struct usernet *ret)
{
    own_fd int run_fd = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (run_fd < 0)
        return err_sys(errno, "open '%s'", run);
    return usernet_find_at(run_fd, ret);
}

/* ---- starting the holder ---- */

/* What the starter and the process that becomes the holder say to each other over READY_FD: its pid, then an encoded
 * error or one zero byte once its ids are mapped, and at last, from the program itself, a byte when it is ready. */
enum { JOIN_FD = USERNET_READY_FD + 1 };

static fallible hear_mapped(void)
{
    char answer[ERR_ENCODED_MAX];
    pid_t self = getpid();
    if (write(USERNET_READY_FD, &self, sizeof self) != (ssize_t)sizeof self)
        return err_sys(errno, "ask for ids");
    ssize_t n = read(USERNET_READY_FD, answer, sizeof answer);
    if (n <= 0)
        return err_new(ERR_UNAVAILABLE, "nobody maps our ids");
    return n == 1 ? NULL : err_decode(answer, (size_t)n);
}

/* Before the exec. ctx: whether a user namespace to join is there. */
static err *be_born(void *ctx)
{
    const bool *join = ctx;
    if (*join) {
        if (setns(JOIN_FD, CLONE_NEWUSER) < 0)
            return err_sys(errno, "enter the user namespace of the containers that run");
    } else {
        if (unshare(CLONE_NEWUSER) < 0)
            return err_sys(errno, "make a user namespace%s",
                           errno == EPERM ? " (is kernel.unprivileged_userns_clone or user.max_user_namespaces 0, or "
                                            "are we in a chroot?)"
                                          : "");
        TRY(hear_mapped());
    }
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(errno, "become root of the user namespace");
    if (unshare(CLONE_NEWNET) < 0)
        return err_sys(errno, "make a network namespace%s",
                       errno == ENOSPC ? " (user.max_net_namespaces is reached)" : "");
    return NULL;
}

static fallible map_ids(pid_t pid)
{
    own(id_map) struct id_map uids = { 0 };
    own(id_map) struct id_map gids = { 0 };
    own_mem char *note = NULL;
    TRY(ids_rootless_maps(&uids, &gids, &note));
    return ids_write_maps(pid, &uids, &gids);
}

/* daemon_start() returns after the exec, and the maps come before that: a child writes them meanwhile. */
static _Noreturn void mapper(int sock)
{
    char answer[ERR_ENCODED_MAX] = "";
    pid_t pid = 0;
    if (read(sock, &pid, sizeof pid) != (ssize_t)sizeof pid)
        _exit(0); /* it has failed before, and says so itself */
    err *e = map_ids(pid);
    size_t n = e ? err_encode(e, answer, sizeof answer) : 1;
    _exit(write(sock, answer, n) != (ssize_t)n);
}

static fallible listen_at(int run_fd, int *ret_fd)
{
    if (unlinkat(run_fd, USERNET_SOCKET, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove the last holder's socket");
    return sock_listen_at(run_fd, USERNET_SOCKET, SOCK_SEQPACKET, 0600, ret_fd);
}

static fallible hear_ready(int sock)
{
    char answer[ERR_ENCODED_MAX];
    ssize_t n = read(sock, answer, sizeof answer);
    if (n <= 0)
        return err_new(ERR_UNAVAILABLE, "the holder ended at once");
    return n == 1 ? NULL : err_decode(answer, (size_t)n);
}

static fallible start_holder(const char *run, int run_fd, int join_user)
{
    own_mem char *path = NULL;
    own_fd int listen_fd = -1, mapper_fd = -1;
    int pair[2], status = 0;
    bool join = join_user >= 0;
    pid_t pid = 0;
    TRY(self_find_program("husk-usernet", &path));
    TRY(listen_at(run_fd, &listen_fd));
    TRY(sock_pair(pair));
    own_fd int ours = pair[0], theirs = pair[1];
    if (!join) {
        TRY(proc_clone(0, -1, &pid, &mapper_fd));
        if (pid == 0) {
            close_now(&theirs);
            mapper(ours);
        }
    }
    const int fds[] = { listen_fd, theirs, join_user };
    err *e =
        daemon_start((char *const[]){ path, (char *)(uintptr_t)run, NULL }, fds, join ? 3 : 2, be_born, &join, &pid);
    close_now(&theirs);
    if (!join)
        err_ignore(proc_wait(mapper_fd, -1, &status), "what it had to say the holder heard");
    return e ? e : hear_ready(ours);
}

fallible usernet_open(const char *run, int join_user, struct usernet *ret)
{
    own_fd int lock = -1;
    own_fd int run_fd = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (run_fd < 0)
        return err_sys(errno, "open '%s'", run);
    err *e = usernet_find_at(run_fd, ret);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    TRY(fs_lock_at(run_fd, "usernet.lock", FS_LOCK_EXCLUSIVE, &lock));
    e = usernet_find_at(run_fd, ret); /* somebody was faster */
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    own_mem char *pid_file = mem_printf("%s/" USERNET_PASTA, run);
    pasta_stop(pid_file); /* of a holder that was killed */
    TRY_AS(start_holder(run, run_fd, join_user), "bring up the user's networks");
    return usernet_find_at(run_fd, ret);
}

fallible usernet_lock_whole(const struct usernet *u, const char *run, int *ret_lock, bool *ret_whole)
{
    own_fd int lock = -1;
    own_mem char *path = mem_printf("%s/usernet.whole", run);
    const struct usernet_message look = { .kind = USERNET_WITHDRAW }; /* of nobody: it only answers */
    struct usernet_answer a;
    TRY(fs_lock_at(AT_FDCWD, path, FS_LOCK_EXCLUSIVE, &lock));
    TRY(ask(u->sock, &look, -1, &a, NULL, 0));
    *ret_whole = a.whole;
    *ret_lock = take_fd(&lock);
    return NULL;
}

fallible usernet_say_whole(const struct usernet *u)
{
    const struct usernet_message m = { .kind = USERNET_WHOLE };
    struct usernet_answer a;
    return ask(u->sock, &m, -1, &a, NULL, 0);
}

fallible usernet_watch(const char *run, int *ret_sock)
{
    const struct usernet_message m = { .kind = USERNET_WATCH };
    struct usernet_answer a;
    own_fd int sock = -1;
    own_fd int run_fd = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (run_fd < 0)
        return err_sys(errno, "open '%s'", run);
    TRY(sock_connect_at(run_fd, USERNET_SOCKET, SOCK_SEQPACKET, &sock));
    TRY(ask(sock, &m, -1, &a, NULL, 0));
    *ret_sock = take_fd(&sock);
    return NULL;
}

/* ---- inside ---- */

fallible usernet_enter(const struct usernet *u)
{
    if (setns(u->user_fd, CLONE_NEWUSER) < 0 || setns(u->net_fd, CLONE_NEWNET) < 0)
        return err_sys(errno, "enter the user's networks");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(errno, "become root of the user's networks");
    return NULL;
}

fallible usernet_parent_of(pid_t pid, int *ret_user_fd)
{
    own_mem char *path = mem_printf("/proc/%d/ns/user", (int)pid);
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    own_fd int ours = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ours < 0)
        return err_sys(errno, "open '%s'", path);
    own_fd int parent = ioctl(fd, NS_GET_PARENT);
    struct stat a, b;
    if (parent < 0 || fstat(parent, &a) < 0 || fstat(ours, &b) < 0 || (a.st_dev == b.st_dev && a.st_ino == b.st_ino))
        return err_new(ERR_NOT_FOUND, "process %d is in no user namespace below another", (int)pid);
    *ret_user_fd = take_fd(&parent);
    return NULL;
}

fallible usernet_socket(const struct usernet *u, int netns_fd, int domain, int type, int protocol, int *ret_fd)
{
    const struct usernet_message m = {
        .kind = USERNET_SOCKETS, .domain = domain, .type = type, .protocol = (uint32_t)protocol
    };
    struct usernet_answer a;
    return ask(u->sock, &m, netns_fd, &a, ret_fd, 1);
}

/* ---- the outside ---- */

fallible usernet_outside(struct usernet *u, const char *run)
{
    own_fd int lock = -1, pidfd = -1;
    own_mem char *path = mem_printf("%s/usernet.lock", run), *pid_file = mem_printf("%s/" USERNET_PASTA, run);
    struct usernet_answer a;
    const struct usernet_message look = { .kind = USERNET_WITHDRAW }; /* of nobody: it only answers */
    const struct usernet_message keep = { .kind = USERNET_OUTSIDE };
    pid_t pid = 0;
    TRY(ask(u->sock, &look, -1, &a, NULL, 0));
    if (a.outside)
        return NULL;
    TRY(fs_lock_at(AT_FDCWD, path, FS_LOCK_EXCLUSIVE, &lock));
    TRY(ask(u->sock, &look, -1, &a, NULL, 0));
    if (a.outside)
        return NULL;
    pasta_stop(pid_file);
    if (!usernet_host_has_outside()) {
        log_debug("usernet: this host has no default route, so there is no outside to be joined to");
        return NULL;
    }
    TRY(pasta_start(&(struct pasta){ .pid = u->holder, .pid_file = pid_file }, &pid));
    TRY(proc_pidfd(pid, &pidfd));
    return ask(u->sock, &keep, pidfd, &a, NULL, 0);
}

/* ---- ports ---- */

static void set_container(struct usernet_message *m, const char *container)
{
    (void)snprintf(m->container, sizeof m->container, "%s", container);
}

fallible usernet_publish(const struct usernet *u, const char *container, int bound_fd,
                         const union usernet_address *target)
{
    struct usernet_message m = { .kind = USERNET_PUBLISH, .target = *target };
    struct usernet_answer a;
    int protocol = 0;
    socklen_t n = sizeof protocol;
    if (getsockopt(bound_fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) < 0)
        return err_sys(errno, "look at a published port");
    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
        return err_new(ERR_UNSUPPORTED,
                       "publish a port: an ordinary user's are TCP or UDP: SCTP needs root's firewall");
    if (protocol == IPPROTO_TCP && listen(bound_fd, SOMAXCONN) < 0)
        return err_sys_as(errno == EADDRINUSE ? ERR_CONFLICT : err_kind_of_errno(errno), errno, "publish a port");
    if (fcntl(bound_fd, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(errno, "publish a port");
    set_container(&m, container);
    return ask(u->sock, &m, bound_fd, &a, NULL, 0);
}

fallible usernet_withdraw(const struct usernet *u, const char *container, int protocol,
                          const union usernet_address *host)
{
    struct usernet_message m = { .kind = USERNET_WITHDRAW, .protocol = (uint32_t)protocol };
    struct usernet_answer a;
    if (host)
        m.host = *host;
    set_container(&m, container);
    return ask(u->sock, &m, -1, &a, NULL, 0);
}
