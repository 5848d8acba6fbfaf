// SPDX-License-Identifier: GPL-2.0-or-later
/* proc-links: who may mount in a container puts a link of their own on the links self and thread-self of a true /proc,
 * which leads to a directory of theirs, /proc/fs (a tmpfs by then). Linux mounts on links when both are given by
 * descriptor. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    static const char *const links[] = { "/proc/self", "/proc/thread-self" };
    static const char *const files[] = { "/proc/fs/oom_score_adj", "/proc/fs/attr/exec",
                                         "/proc/fs/attr/apparmor/exec" };
    if (mkdir("/proc/fs/attr", 0755) < 0 || mkdir("/proc/fs/attr/apparmor", 0755) < 0)
        err(1, "make directories in /proc/fs");
    for (int i = 0; i < 3; i++) {
        int fd = open(files[i], O_WRONLY | O_CREAT, 0644);
        if (fd < 0 || write(fd, "enemy\n", 6) != 6)
            err(1, "write '%s'", files[i]);
    }
    if (symlink("fs", "/proc/fs/link") < 0)
        err(1, "make a link");
    for (int i = 0; i < 2; i++) {
        long link = syscall(SYS_open_tree, AT_FDCWD, "/proc/fs/link", OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW);
        int at = open(links[i], O_PATH | O_NOFOLLOW);
        if (link < 0 || at < 0 ||
            syscall(SYS_move_mount, link, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
            err(1, "mount a link on '%s'", links[i]);
    }
    return 0;
}
