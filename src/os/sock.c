// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { SOCK_FDS_MAX = 16 };

fallible sock_pair(int ret_fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
        return err_sys(errno, "make a socket pair");
    return NULL;
}

fallible sock_send(int sock, const void *bytes, size_t n, const int *fds, size_t fd_n)
{
    union {
        char bytes[CMSG_SPACE(SOCK_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (fd_n > SOCK_FDS_MAX)
        return err_new(ERR_INTERNAL, "%zu descriptors in one message", fd_n);
    if (fd_n) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(fd_n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_n * sizeof(int));
    }
    while (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return err_sys(errno, "send a message");
    return NULL;
}

fallible sock_recv(int sock, void *bytes, size_t max, size_t *ret_len, int *ret_fds, size_t fd_max, size_t *ret_fd_n)
{
    union {
        char bytes[CMSG_SPACE(SOCK_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { .iov_base = bytes, .iov_len = max };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control
    };
    ssize_t n;
    while ((n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC)) < 0)
        if (errno != EINTR)
            return err_sys(errno, "receive a message");
    size_t got = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (got < fd_max)
                ret_fds[got++] = fd;
            else
                (void)close(fd);
        }
    }
    if (ret_fd_n)
        *ret_fd_n = got;
    if (msg.msg_flags & MSG_TRUNC)
        return err_new(ERR_CORRUPT, "receive a message: it is longer than %zu bytes", max);
    *ret_len = (size_t)n;
    return NULL;
}

/* sun_path holds 108 bytes; a path through the directory's descriptor is always short enough. */
static fallible address_of(int dir_fd, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int n = dir_fd == AT_FDCWD ? snprintf(ret->sun_path, sizeof ret->sun_path, "%s", name)
                               : snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
    if (n < 0 || (size_t)n >= sizeof ret->sun_path)
        return err_new(ERR_INVALID, "socket name '%s' is too long", name);
    return NULL;
}

fallible sock_listen_at(int dir_fd, const char *name, int type, mode_t mode, int *ret_fd)
{
    struct sockaddr_un address;
    TRY(address_of(dir_fd, name, &address));
    own_fd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(errno, "make a socket");
    (void)unlinkat(dir_fd, name, 0);
    mode_t before = umask(0777 & ~mode);
    int r = bind(fd, (struct sockaddr *)&address, sizeof address);
    int errnum = errno;
    (void)umask(before);
    if (r < 0)
        return err_sys(errnum, "bind socket '%s'", name);
    if (type != SOCK_DGRAM && listen(fd, 16) < 0)
        return err_sys(errno, "listen on socket '%s'", name);
    *ret_fd = take_fd(&fd);
    return NULL;
}

fallible sock_connect_at(int dir_fd, const char *name, int type, int *ret_fd)
{
    struct sockaddr_un address;
    TRY(address_of(dir_fd, name, &address));
    own_fd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(errno, "make a socket");
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        if (errno != EINTR)
            return err_sys(errno, "connect to socket '%s'", name);
    *ret_fd = take_fd(&fd);
    return NULL;
}

bool sock_peer_is_ours(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && (who.uid == geteuid() || who.uid == 0);
}
