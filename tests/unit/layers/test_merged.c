// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "layers/erofs.h"
#include "layers/merged.h"
#include "os/fs.h"

/* A layer without entries: its tar is two blocks of nothing. */
enum { EMPTY_TAR = 1024 };
static const char id[] = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

static int make_folder(char path[64])
{
    (void)snprintf(path, 64, "/tmp/husk-merged-XXXXXX");
    CHECK(mkdtemp(path) != NULL);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int make_file(int dir, const char *name, size_t zeros)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)zeros) == 0);
    return fd;
}

static bool fits(int dir)
{
    bool ret = false;
    CHECK_OK(layer_index_fits(dir, id, &ret));
    return ret;
}

static void check_tar(int dir, uint64_t at)
{
    struct layer_tar tar;
    char buf[EMPTY_TAR * 2];
    uint64_t done = 0;
    size_t n = 0;
    CHECK(layer_is_erofs(dir));
    CHECK_OK(layer_tar_open(dir, &tar));
    CHECK(tar.at == at && tar.bytes == EMPTY_TAR);
    CHECK_OK(layer_tar_read(&tar, &done, buf, sizeof buf, &n));
    CHECK(n == EMPTY_TAR && done == EMPTY_TAR); /* nothing of what is behind it */
    CHECK_OK(layer_tar_read(&tar, &done, buf, sizeof buf, &n));
    CHECK(n == 0);
    (void)close(tar.fd);
}

TEST(a_layer_of_one_file_is_its_tar_and_what_the_tar_makes)
{
    char path[64];
    struct stat st;
    struct layer_tar tar;
    own_fd int dir = make_folder(path);
    own(erofs) struct erofs *e = erofs_new();
    CHECK(!layer_is_erofs(dir));
    own_fd int fd = make_file(dir, "erofs", EROFS_TAR_AT + EMPTY_TAR);
    CHECK_OK(erofs_write_layer(e, EMPTY_TAR, fd));
    check_tar(dir, EROFS_TAR_AT);
    CHECK(fits(dir) && fstat(fd, &st) == 0);
    CHECK(pwrite(fd, "x", 1, st.st_size - 1) == 1 && !fits(dir));
    CHECK(pwrite(fd, "", 1, st.st_size - 1) == 1 && fits(dir));
    CHECK(pwrite(fd, "x", 1, 100) == 1 && !fits(dir));
    CHECK(pwrite(fd, "\xff\xff", 2, 12) == 2);
    CHECK_ERR(layer_tar_open(dir, &tar), ERR_CORRUPT); /* longer than the file */
    CHECK(pwrite(fd, "no", 2, 0) == 2);
    CHECK_ERR(layer_tar_open(dir, &tar), ERR_CORRUPT);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, path));
}

TEST(a_layer_of_two_files_as_it_was_made_before_is_read)
{
    char path[64];
    own_fd int dir = make_folder(path);
    own(erofs) struct erofs *e = erofs_new();
    struct erofs_device device = { .diff_id = id, .bytes = EMPTY_TAR };
    own_fd int tar = make_file(dir, "tar", EMPTY_TAR), index = make_file(dir, "index", 0);
    CHECK_OK(erofs_write(e, &device, 1, index));
    check_tar(dir, 0);
    CHECK(fits(dir));
    CHECK(pwrite(index, "x", 1, 1100) == 1 && !fits(dir));
    (void)tar;
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, path));
}
