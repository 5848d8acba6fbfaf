// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/root.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "os/fs.h"
#include "test.h"

/* A root made by an enemy: every link in it points out of it. */
static int hostile_root(char *dir)
{
    CHECK(mkdtemp(dir) != NULL);
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(symlinkat("/etc/passwd", fd, "absolute") == 0);
    CHECK(symlinkat("../../../etc/passwd", fd, "upward") == 0);
    CHECK(symlinkat("/proc/self/root/etc/passwd", fd, "magic") == 0);
    CHECK(symlinkat("/tmp", fd, "outdir") == 0);
    return fd;
}

TEST(no_path_leaves_the_root)
{
    static const char *const ways[] = { "absolute", "upward", "magic", "/etc/passwd", "../../etc/passwd" };
    char dir[] = "/tmp/husk-root-XXXXXX";
    own_fd int root = hostile_root(dir);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        int fd = -1;
        CHECK_ERR(root_open(root, ways[i], O_RDONLY, &fd), ERR_NOT_FOUND);
        CHECK(fd == -1);
    }
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}

TEST(what_is_made_is_made_inside)
{
    char dir[] = "/tmp/husk-root-XXXXXX";
    own_fd int root = hostile_root(dir);
    int fd = -1;
    struct stat st;
    CHECK_OK(root_mkdirs(root, "/a/../b//c/", 0755, &fd));
    close(fd);
    CHECK(fstatat(root, "b/c", &st, 0) == 0 && S_ISDIR(st.st_mode));
    CHECK_OK(root_touch(root, "../../d/e", 0644, &fd));
    close(fd);
    CHECK(fstatat(root, "d/e", &st, 0) == 0 && S_ISREG(st.st_mode));
    /* a link to /tmp is the root's own /tmp, which is made */
    CHECK_OK(root_mkdirs(root, "outdir/x", 0755, &fd));
    close(fd);
    CHECK(fstatat(root, "tmp/x", &st, 0) == 0 && S_ISDIR(st.st_mode));
    CHECK(symlinkat("loop2", root, "loop1") == 0 && symlinkat("loop1", root, "loop2") == 0);
    CHECK_ERR(root_mkdirs(root, "loop1/x", 0755, &fd), ERR_INVALID);
    CHECK_ERR(root_parent(root, "a/..", &fd, NULL), ERR_INVALID);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
    CHECK(access(dir, F_OK) != 0);
}

TEST(trees_with_closed_directories_are_removed)
{
    char dir[] = "/tmp/husk-root-XXXXXX";
    CHECK(mkdtemp(dir) != NULL);
    own_fd int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = -1;
    CHECK_OK(root_mkdirs(root, "x/y/z", 0700, &fd));
    close(fd);
    CHECK_OK(root_touch(root, "x/y/f", 0, &fd));
    close(fd);
    CHECK(fchmodat(root, "x/y", 0, 0) == 0);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
    CHECK(access(dir, F_OK) != 0);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}

TEST(a_replaced_file_is_whole)
{
    char dir[] = "/tmp/husk-root-XXXXXX";
    own_mem char *text = NULL;
    size_t len = 0;
    CHECK(mkdtemp(dir) != NULL);
    own_fd int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK_OK(fs_replace_at(root, "f", "one", 3, 0600, FS_SYNC_NONE));
    CHECK_OK(fs_replace_at(root, "f", "three", 5, 0600, FS_SYNC_DISK));
    CHECK_OK(fs_read_at(root, "f", 100, &text, &len));
    assert_string_equal(text, "three");
    CHECK_ERR(fs_read_at(root, "f", 4, &text, &len), ERR_EXHAUSTED);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}
