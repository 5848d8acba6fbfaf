// SPDX-License-Identifier: GPL-2.0-or-later
/* A mount may only be copied in the mount namespace that it is in: a child goes there and hands the copy back. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/mount.h"
#include "os/proc.h"
#include "os/sock.h"

bool mount_path_of_process(const char *path, pid_t *ret_pid, const char **ret_inside)
{
    static const char proc[] = "/proc/", root[] = "/root/";
    char *end;
    if (!str_starts(path, proc) || path[sizeof proc - 1] < '1' || path[sizeof proc - 1] > '9')
        return false;
    errno = 0;
    long pid = strtol(path + sizeof proc - 1, &end, 10);
    if (errno || pid > INT32_MAX || !str_starts(end, root))
        return false;
    *ret_pid = (pid_t)pid;
    *ret_inside = end + sizeof root - 2;
    return true;
}

static fallible copy_there(int ns_fd, const char *path, enum mount_depth depth, int sock)
{
    own_fd int copy = -1;
    if (setns(ns_fd, CLONE_NEWNS) < 0)
        return err_sys(errno, "enter its mount namespace");
    TRY(mount_copy_path(path, depth, &copy));
    return sock_send(sock, "m", 1, &copy, 1);
}

/* The child's errno is its exit status: 0 is success. */
static void child(int ns_fd, const char *path, enum mount_depth depth, int sock)
{
    err *e = copy_there(ns_fd, path, depth, sock);
    _exit(e ? (err_errno(e) ? err_errno(e) : EPROTO) : 0);
}

fallible mount_copy_of_process(pid_t pid, const char *path, enum mount_depth depth, int *ret_mount_fd)
{
    int pair[2], status = 0;
    char byte, name[48];
    size_t n = 0, fds = 0;
    pid_t child_pid = 0;
    struct stat theirs, ours;
    own_fd int pidfd = -1, copy = -1;
    (void)snprintf(name, sizeof name, "/proc/%d/ns/mnt", (int)pid);
    own_fd int ns_fd = open(name, O_RDONLY | O_CLOEXEC);
    if (ns_fd < 0 || fstat(ns_fd, &theirs) < 0 || stat("/proc/self/ns/mnt", &ours) < 0)
        return err_sys(errno, "open '%s'", name);
    TRY(sock_pair(pair));
    own_fd int mine = pair[0], its = pair[1];
    TRY(proc_clone(0, -1, &child_pid, &pidfd));
    if (child_pid == 0)
        child(ns_fd, path, depth, its);
    close_now(&its);
    err *e = sock_recv(mine, &byte, 1, &n, &copy, 1, &fds);
    err *ended = proc_wait(pidfd, -1, &status);
    if (ended || e) {
        err_ignore(e ? ended : NULL, "the other says more");
        return e ? e : ended;
    }
    if (fds != 1)
        return err_sys(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EPROTO,
                       "copy the mount of '%s' in process %d", path, (int)pid);
    *ret_mount_fd = take_fd(&copy);
    return NULL;
}
