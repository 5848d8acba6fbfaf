// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db_map.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ROOM_BYTES = 64 << 10 };

static void *map(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    struct stat st;
    bool writes = (protection & PROT_WRITE) && (flags & MAP_SHARED);
    if (writes && fstat(fd, &st) == 0 && st.st_blksize < sysconf(_SC_PAGESIZE) &&
        fallocate(fd, 0, offset, (off_t)length) < 0 && (errno == ENOSPC || errno == EDQUOT))
        return MAP_FAILED; /* another errno: the file system cannot promise blocks, and a hole is what there is */
    return mmap(at, length, protection, flags, fd, offset);
}

void db_map_with_blocks(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (vfs && vfs->iVersion >= 3)
        (void)vfs->xSetSystemCall(vfs, "mmap", (sqlite3_syscall_ptr)(void (*)(void))map);
}

bool db_disk_is_full(const char *path)
{
    struct statvfs st;
    return statvfs(path, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize < ROOM_BYTES;
}
