// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/landlock.h"

OWN_TYPE(cap, cap_t, (void)cap_free)

/* What the event loop, the sockets, SQLite's reading and the C library's memory need. */
static const char *const calls[] = {
    /* waiting and sockets */
    "epoll_create1",
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "timerfd_create",
    "timerfd_settime",
    "read",
    "write",
    "close",
    "socket",
    "connect",
    "accept4",
    "accept",
    "recvmsg",
    "recvmmsg",
    "recvfrom",
    "sendmsg",
    "sendmmsg",
    "sendto",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "shutdown",
    "ioctl",
    "poll",
    "ppoll",
    /* files */
    "openat",
    "open",
    "fstat",
    "newfstatat",
    "stat",
    "lstat",
    "statx",
    "faccessat",
    "faccessat2",
    "access",
    "lseek",
    "pread64",
    "pwrite64",
    "fcntl",
    "ftruncate",
    "fdatasync",
    "fsync",
    "readlink",
    "readlinkat",
    "getcwd",
    "unlink",
    "fchmod",
    "fchown",
    "geteuid",
    "getuid",
    /* memory, time, life */
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "getrandom",
    "getpid",
    "gettid",
    "futex",
    "rt_sigreturn",
    "rt_sigprocmask",
    "rt_sigaction",
    "tgkill",
    "exit",
    "exit_group",
    "restart_syscall",
    "sched_yield",
    "rseq",
    "uname",
};

static fallible filter_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int failed = filter ? 0 : -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(calls) && !failed; i++) {
        int number = seccomp_syscall_resolve_name(calls[i]);
        if (number != __NR_SCMP_ERROR) /* not on this machine */
            failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    if (!failed)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return failed ? err_sys(-failed, "load a seccomp filter") : NULL;
}

static fallible drop_capabilities(void)
{
    const cap_value_t kept = CAP_NET_ADMIN;
    cap_flag_value_t has = CAP_CLEAR;
    own(cap) cap_t now = cap_get_proc();
    own(cap) cap_t caps = cap_init();
    if (!now || !caps || cap_get_flag(now, kept, CAP_PERMITTED, &has) < 0)
        return err_sys(errno, "look at capabilities");
    if (has == CAP_SET && (cap_set_flag(caps, CAP_PERMITTED, 1, &kept, CAP_SET) < 0 ||
                           cap_set_flag(caps, CAP_EFFECTIVE, 1, &kept, CAP_SET) < 0))
        return err_sys(errno, "keep a capability");
    if (cap_set_proc(caps) < 0)
        return err_sys(errno, "drop capabilities");
    return NULL;
}

fallible dns_confine(const char *root)
{
    const struct landlock_path paths[] = {
        { -1, root, LANDLOCK_READ },
        { -1, "/etc", LANDLOCK_READ },
        { -1, "/run/systemd/resolve", LANDLOCK_READ },
        { -1, "/run/resolvconf", LANDLOCK_READ },
        { -1, "/run/NetworkManager", LANDLOCK_READ },
        { -1, "/run/connman", LANDLOCK_READ },
        { -1, "/usr/lib/systemd", LANDLOCK_READ },
    };
    bool done = false;
    TRY(drop_capabilities());
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(errno, "give up new privileges");
    TRY(landlock_confine(paths, ARRAY_SIZE(paths), &done));
    if (!done)
        log_debug("dns: this kernel has no Landlock: files are not confined");
    return filter_calls();
}
