/*
 * quota.h: a limit on the bytes and files below one directory, kept by the file system: project quotas.
 *
 * Each such tree has a project number, which new files inherit from their directory. XFS and ext4 (and f2fs) know
 * them, where they are mounted with `prjquota`. Source: quotactl_fd(2), ioctl_fsxattr in linux/fs.h, xfs_quota(8).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_QUOTA_H
#define HUSK_OS_QUOTA_H

#include <stdint.h>

#include "base/err.h"

/**
 * quota_set - a directory and all that will be made in it gets at most so many bytes and inodes.
 * @dir_fd:  an empty directory, opened for reading.
 * @project: the same for every directory that shares the limit; not 0.
 * @bytes, @inodes: 0: no limit.
 * Errors: UNSUPPORTED where the file system keeps no project quotas, with the cure; DENIED for an ordinary user.
 */
fallible quota_set(int dir_fd, uint32_t project, uint64_t bytes, uint64_t inodes);
/* The limit is gone; the number may be used again. No limit is no error. */
fallible quota_clear(int dir_fd, uint32_t project);

#endif
