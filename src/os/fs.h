/*
 * fs.h: files of our own, by descriptor: whole reads, whole writes, replacement that is all or nothing, trees, locks.
 *
 * For paths inside a container's root use os/root.h instead.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_FS_H
#define HUSK_OS_FS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* All of a file, NUL-terminated (the NUL is not in *ret_len; ret_len may be NULL). EXHAUSTED beyond max bytes. */
fallible fs_read_at(int dir_fd, const char *path, size_t max, char **ret_text, size_t *ret_len);
fallible fs_read_fd(int fd, const char *name, size_t max, char **ret_text, size_t *ret_len);
/* One write(2) into an existing file: /proc, /sys and cgroup files. */
fallible fs_write_at(int dir_fd, const char *path, const char *text);
/* All bytes, whatever write(2) takes at a time. */
fallible fs_write_fd(int fd, const void *bytes, size_t n, const char *name);
/* Exactly n bytes, or CORRUPT. */
fallible fs_read_exact(int fd, void *bytes, size_t n, const char *name);

/* SYNC_NONE survives a killed process, SYNC_DISK a power cut as well. */
enum fs_sync { FS_SYNC_NONE, FS_SYNC_DISK };
/* Replaces a file by write, [fsync], rename: readers see the old or the new, never half. */
fallible fs_replace_at(int dir_fd, const char *name, const void *bytes, size_t n, mode_t mode, enum fs_sync sync);

/* A file that a user has named: as fs_replace_at() where there is none, or a regular one; else (a device, a FIFO, a
 * link) it is written into, and stays. */
fallible fs_write_out(int dir_fd, const char *path, const void *bytes, size_t n);

/* mkdir -p; what exists already is fine. */
fallible fs_mkdirs_at(int dir_fd, const char *path, mode_t mode);
/* An O_PATH|O_DIRECTORY descriptor; makes the directory (and parents) first when make is set. */
enum fs_make { FS_MUST_EXIST, FS_MAKE };
fallible fs_open_dir_at(int dir_fd, const char *path, enum fs_make make, int *ret_fd);
/* rm -rf by descriptor, never following a link, never crossing into a mount. What is not there is no error. */
fallible fs_remove_tree_at(int dir_fd, const char *name);
/* Gives a tree to a user and a group, links themselves and not what they name; setuid bits go, as chown(2) says. Never
 * crosses into a mount. */
fallible fs_chown_tree_at(int dir_fd, const char *path, uid_t uid, gid_t gid);
/* Bytes on disk (st_blocks) of a tree. */
fallible fs_disk_usage_at(int dir_fd, const char *name, uint64_t *ret_bytes);

/*
 * An advisory lock on a file that is made when missing (flock(2)): held while the descriptor is open, so it dies with
 * its holder. FS_LOCK_TRY answers CONFLICT when another holds it.
 */
enum fs_lock { FS_LOCK_SHARED, FS_LOCK_EXCLUSIVE, FS_LOCK_TRY };
fallible fs_lock_at(int dir_fd, const char *name, enum fs_lock how, int *ret_fd);

/* n random bytes as 2n lower-case hex digits and a NUL. Source: getrandom(2). */
void random_hex(char *buf, size_t n_bytes);
/* An unnamed, close-on-exec file in memory. */
fallible fs_memfd(const char *name, int *ret_fd);
/* The path that a descriptor was opened by, for messages. Caller frees; never NULL. */
char *fs_fd_path(int fd);

#endif
