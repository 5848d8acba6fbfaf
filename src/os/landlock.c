// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Newer than Debian 12's headers. Source: include/uapi/linux/landlock.h of Linux 6.12. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ull << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ull << 15)
#endif
#define ACCESS_NET_BIND_TCP        (1ull << 0)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ull << 0)
#define SCOPE_SIGNAL               (1ull << 1)

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net; /* ABI 4 */
    uint64_t scoped;             /* ABI 6 */
};

#define FILE_READ  (LANDLOCK_ACCESS_FS_READ_FILE)
#define FILE_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define DIR_READ   (FILE_READ | LANDLOCK_ACCESS_FS_READ_DIR)
#define DIR_WRITE                                                                                                      \
    (DIR_READ | FILE_WRITE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                          \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                        \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                     \
     LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
#define HANDLED (DIR_WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

/* The rights that kernels of an ABI know; what they don't know they refuse to handle. */
static const struct {
    uint64_t fs, net, scoped;
    size_t size;
} abis[] = {
    [2] = { HANDLED & ~(LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV), 0, 0, 8 },
    [3] = { HANDLED & ~LANDLOCK_ACCESS_FS_IOCTL_DEV, 0, 0, 8 },
    [4] = { HANDLED & ~LANDLOCK_ACCESS_FS_IOCTL_DEV, ACCESS_NET_BIND_TCP, 0, 16 },
    [5] = { HANDLED, ACCESS_NET_BIND_TCP, 0, 16 },
    [6] = { HANDLED, ACCESS_NET_BIND_TCP, SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL, 24 },
};

static fallible add_path(int ruleset, const struct landlock_path *p, uint64_t handled)
{
    own_fd int opened = p->fd >= 0 ? -1 : open(p->path, O_PATH | O_CLOEXEC);
    int fd = p->fd >= 0 ? p->fd : opened;
    struct stat st;
    if (fd < 0 && (errno == ENOENT || errno == EACCES))
        return NULL;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(errno, "open '%s'", p->path);
    uint64_t access = p->access == LANDLOCK_READ ? DIR_READ : DIR_WRITE;
    if (!S_ISDIR(st.st_mode))
        access &= FILE_READ | FILE_WRITE;
    struct landlock_path_beneath_attr rule = { .allowed_access = access & handled, .parent_fd = fd };
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_sys(errno, "allow '%s'", p->path ? p->path : "a directory");
    return NULL;
}

fallible landlock_confine(const struct landlock_path *paths, size_t n, bool *ret_done)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *ret_done = false;
    if (abi < 2)
        return NULL;
    if (abi >= (long)ARRAY_SIZE(abis))
        abi = (long)ARRAY_SIZE(abis) - 1;
    struct ruleset_attr attr = { abis[abi].fs, abis[abi].net, abis[abi].scoped };
    own_fd int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, abis[abi].size, 0);
    if (ruleset < 0)
        return err_sys(errno, "confine: make a Landlock ruleset");
    for (size_t i = 0; i < n; i++)
        TRY_AS(add_path(ruleset, &paths[i], attr.handled_access_fs), "confine");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return err_sys(errno, "confine: restrict this process");
    *ret_done = true;
    return NULL;
}
