/*
 * linux.h: the kernel calls that are newer than a C library may be. glibc 2.36 wraps them; musl, which the hot path is
 * linked with where it can be (docs/adr/0001), does not. Include this instead of <sys/mount.h> and <sys/pidfd.h>.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_LINUX_H
#define HUSK_OS_LINUX_H

#include <sys/mount.h>
#include <sys/resource.h>

#ifdef __GLIBC__
#include <sys/pidfd.h>
typedef __rlimit_resource_t rlimit_resource; /* an enum there, an int elsewhere */
#else
typedef int rlimit_resource;
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/mount.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int fsopen(const char *fstype, unsigned flags)
{
    return (int)syscall(SYS_fsopen, fstype, flags);
}
static inline int fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
    return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}
static inline int fsmount(int fd, unsigned flags, unsigned attrs)
{
    return (int)syscall(SYS_fsmount, fd, flags, attrs);
}
static inline int open_tree(int dir_fd, const char *path, unsigned flags)
{
    return (int)syscall(SYS_open_tree, dir_fd, path, flags);
}
static inline int move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return (int)syscall(SYS_move_mount, from_fd, from, to_fd, to, flags);
}
static inline int mount_setattr(int dir_fd, const char *path, unsigned flags, struct mount_attr *attr, size_t size)
{
    return (int)syscall(SYS_mount_setattr, dir_fd, path, flags, attr, size);
}
static inline int pidfd_open(pid_t pid, unsigned flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}
static inline int pidfd_send_signal(int pidfd, int signal, siginfo_t *info, unsigned flags)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, info, flags);
}
static inline int close_range(unsigned first, unsigned last, int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}
static inline int execveat(int dir_fd, const char *path, char *const argv[], char *const envp[], int flags)
{
    return (int)syscall(SYS_execveat, dir_fd, path, argv, envp, flags);
}
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef W_EXITCODE
#define W_EXITCODE(status, signal) ((status) << 8 | (signal))
#endif
#endif

#endif
