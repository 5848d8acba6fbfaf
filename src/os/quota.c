// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/quota.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fs.h"

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

/* dqblk counts bytes in blocks of 1 KiB, whatever the file system's are. */
enum { QUOTA_BLOCK = 1024 };

static int quotactl_at(int fd, int command, uint32_t project, struct if_dqblk *block)
{
    return (int)syscall(SYS_quotactl_fd, fd, QCMD((unsigned)command, PRJQUOTA), project, block);
}

static fallible refused(int fd, int errnum, const char *act)
{
    own_mem char *path = fs_fd_path(fd);
    if (errnum == EPERM || errnum == EACCES)
        return err_sys(errnum, "%s on '%s': only root may set quotas", act, path);
    if (errnum == ESRCH || errnum == ENOSYS || errnum == ENOTTY || errnum == EOPNOTSUPP || errnum == EINVAL ||
        errnum == ENOTSUP)
        return err_new(ERR_UNSUPPORTED,
                       "%s: the file system of '%s' keeps no project quotas: it must be XFS or ext4 (with 'tune2fs -O "
                       "quota,project'), mounted with the option prjquota",
                       act, path);
    return err_sys(errnum, "%s on '%s'", act, path);
}

static fallible set_limits(int fd, uint32_t project, uint64_t bytes, uint64_t inodes)
{
    struct if_dqblk block = { .dqb_bhardlimit = (bytes + QUOTA_BLOCK - 1) / QUOTA_BLOCK,
                              .dqb_ihardlimit = inodes,
                              .dqb_valid = QIF_LIMITS };
    if (quotactl_at(fd, Q_SETQUOTA, project, &block) < 0)
        return refused(fd, errno, "set a quota");
    return NULL;
}

fallible quota_set(int dir_fd, uint32_t project, uint64_t bytes, uint64_t inodes)
{
    struct fsxattr attr;
    if (ioctl(dir_fd, FS_IOC_FSGETXATTR, &attr) < 0)
        return refused(dir_fd, errno, "set a quota");
    TRY(set_limits(dir_fd, project, bytes, inodes)); /* it says whether quotas are kept; the number alone always goes */
    attr.fsx_projid = project;
    attr.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (ioctl(dir_fd, FS_IOC_FSSETXATTR, &attr) < 0) {
        int errnum = errno;
        err_ignore(set_limits(dir_fd, project, 0, 0), "undoing");
        return refused(dir_fd, errnum, "give a directory a project");
    }
    return NULL;
}

fallible quota_clear(int dir_fd, uint32_t project)
{
    err *e = set_limits(dir_fd, project, 0, 0);
    if (!err_is(e, ERR_UNSUPPORTED))
        return e;
    err_free(e);
    return NULL;
}
