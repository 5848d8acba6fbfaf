// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/parse.h"

#define NAME "room"

enum { ROOM_BYTES = 512 << 10, PLENTY = 32 /* times as much is free */ };

void room_keep(int store_fd)
{
    struct statvfs fs;
    if (faccessat(store_fd, NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || fstatvfs(store_fd, &fs) < 0 ||
        fs.f_bavail * (fs.f_frsize ? fs.f_frsize : fs.f_bsize) < (uint64_t)ROOM_BYTES * PLENTY)
        return;
    own_fd int fd = openat(store_fd, NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && fallocate(fd, 0, 0, ROOM_BYTES) < 0)
        (void)unlinkat(store_fd, NAME, 0);
}

bool room_given(int store_fd, err **e)
{
    if (!err_is(*e, ERR_EXHAUSTED) || unlinkat(store_fd, NAME, 0) < 0)
        return false;
    err_ignore(*e, "again, with the room that was kept for this");
    *e = NULL;
    return true;
}

/* As df(1) counts: of the file system, or of the project whose quota it is. */
fallible room_say(const char *store, err *take_e)
{
    struct statvfs fs;
    char is[32], all[32];
    if (err_errno(take_e) != ENOSPC && err_errno(take_e) != EDQUOT)
        return take_e;
    if (err_errno(take_e) == EDQUOT) /* whose, and how much it is, statvfs(3) may not know */
        return err_wrap(take_e, "the quota of the image store '%s' is used up ('husk system df' says what can go)",
                        store);
    if (statvfs(store, &fs) < 0)
        return err_wrap(take_e, "no room in the image store '%s'", store);
    uint64_t unit = fs.f_frsize ? fs.f_frsize : fs.f_bsize;
    if (fs.f_files && fs.f_favail < fs.f_files / 20)
        return err_wrap(take_e,
                        "no room in the image store '%s' (%llu of %llu inodes are free; 'husk system df' says "
                        "what can go)",
                        store, (unsigned long long)fs.f_favail, (unsigned long long)fs.f_files);
    return err_wrap(take_e,
                    "no room in the image store '%s' (%s of %s are free without what failed; 'husk system df' "
                    "says what can go)",
                    store, format_bytes(unit * fs.f_bavail, is), format_bytes(unit * fs.f_blocks, all));
}
