// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup/layout.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/fs.h"
#include "test.h"

static char dir[32];
static const struct layout_mounts three = { .ids = { 7, 1ULL << 40, 9 }, .n = 3 };

static void begin(void)
{
    snprintf(dir, sizeof dir, "/dev/shm/husk-layout.XXXXXX");
    assert_non_null(mkdtemp(dir));
}
static void end(void)
{
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}

static void keep_with(const struct layout_mounts *m, const char *second)
{
    struct cgroup_host h = { .overrides = true };
    h.items = mem_array(NULL, 2, sizeof *h.items);
    h.n = 2;
    h.items[0] =
        (struct hierarchy){ .mount = mem_strdup("/sys/fs/cgroup/cpu,cpuacct"), .root = mem_strdup("/"), .owned = true };
    strv_add(&h.items[0].controllers, "cpu");
    strv_add(&h.items[0].controllers, "cpuacct");
    h.items[1] = (struct hierarchy){ .mount = mem_strdup(second), .root = mem_strdup("/"), .v2 = true };
    strv_add(&h.items[1].controllers, "hugetlb");
    layout_keep(dir, m, &h);
    host_clear(&h);
}

static void keep(const struct layout_mounts *m)
{
    keep_with(m, "/sys/fs/cgroup/with blank");
}

static bool finds(const struct layout_mounts *m)
{
    struct cgroup_host h = { .overrides = true };
    bool found = layout_find(dir, m, &h);
    if (found) {
        assert_int_equal(h.n, 2);
        assert_string_equal(h.items[0].mount, "/sys/fs/cgroup/cpu,cpuacct");
        assert_true(h.items[0].owned && !h.items[0].v2 && h.items[0].controllers.n == 2);
        assert_string_equal(h.items[0].controllers.items[1], "cpuacct");
        assert_string_equal(h.items[1].mount, "/sys/fs/cgroup/with blank");
        assert_true(!h.items[1].owned && h.items[1].v2 && h.items[1].controllers.n == 1);
    } else {
        assert_int_equal(h.n, 0);
    }
    host_clear(&h);
    return found;
}

static bool same(const struct layout_mounts *a, const struct layout_mounts *b)
{
    return a->n == b->n && memcmp(a->ids, b->ids, a->n * sizeof *a->ids) == 0;
}

static char *file(void)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/" LAYOUT_FILE, dir);
    return path;
}

TEST(what_is_kept_is_found_while_the_mounts_are_the_same)
{
    struct layout_mounts other = three;
    begin();
    assert_false(finds(&three));
    keep(&three);
    assert_true(finds(&three));
    other.ids[2] = 10; /* one that was mounted in the place of another */
    assert_false(finds(&other));
    other = three;
    other.n = 2;
    assert_false(finds(&other));
    keep(&other);
    assert_true(finds(&other));
    assert_false(finds(&three));
    cgroup_host_forget(dir);
    assert_false(finds(&other));
    end();
}

/* Cut anywhere, with a byte more, or with any byte of its head and ids changed. */
TEST(a_damaged_file_is_none)
{
    char *bytes = NULL;
    size_t n = 0;
    begin();
    keep(&three);
    CHECK_OK(fs_read_at(AT_FDCWD, file(), 1 << 20, &bytes, &n));
    for (size_t i = 0; i < n; i++) {
        CHECK_OK(fs_replace_at(AT_FDCWD, file(), bytes, i, 0600, FS_SYNC_NONE));
        assert_false(finds(&three));
    }
    for (size_t i = 0; i < 16 + sizeof *three.ids * three.n; i++) {
        bytes[i] ^= 1;
        CHECK_OK(fs_replace_at(AT_FDCWD, file(), bytes, n, 0600, FS_SYNC_NONE));
        assert_false(finds(&three));
        bytes[i] ^= 1;
    }
    bytes[n] = 'x'; /* in the place of the 0 behind it */
    CHECK_OK(fs_replace_at(AT_FDCWD, file(), bytes, n + 1, 0600, FS_SYNC_NONE));
    assert_false(finds(&three));
    CHECK_OK(fs_replace_at(AT_FDCWD, file(), bytes, n, 0600, FS_SYNC_NONE));
    assert_true(finds(&three));
    free(bytes);
    end();
}

TEST(what_others_may_write_is_not_read)
{
    begin();
    keep(&three);
    CHECK(chmod(file(), 0666) == 0);
    assert_false(finds(&three));
    cgroup_host_forget(dir);
    CHECK(symlink("/proc/self/status", file()) == 0);
    assert_false(finds(&three));
    keep(&three); /* over the link, not through it */
    assert_true(finds(&three));
    cgroup_host_forget(dir);
    CHECK(mkfifo(file(), 0600) == 0);
    assert_false(finds(&three)); /* and is not waited for */
    end();
}

TEST(what_is_mounted_elsewhere_is_not_kept)
{
    begin();
    keep_with(&three, "/sys/fs/cgroups/unified");
    assert_false(finds(&three));
    keep_with(&three, "/mnt/unified");
    assert_false(finds(&three));
    keep_with(&three, "/sys/fs/cgroup/a\ttab");
    assert_false(finds(&three));
    end();
}

TEST(a_file_that_outlasts_the_boot_is_not_read)
{
    struct statfs fs;
    begin();
    keep(&three);
    char kept[64], disk[] = "/var/tmp/husk-layout.XXXXXX";
    snprintf(kept, sizeof kept, "%s", file());
    assert_non_null(mkdtemp(disk));
    if (statfs(disk, &fs) == 0 && fs.f_type != TMPFS_MAGIC) {
        char *bytes = NULL;
        size_t n = 0;
        CHECK_OK(fs_read_at(AT_FDCWD, kept, 1 << 20, &bytes, &n));
        end();
        snprintf(dir, sizeof dir, "%s", disk);
        keep(&three);
        assert_int_not_equal(access(file(), F_OK), 0);
        CHECK_OK(fs_replace_at(AT_FDCWD, file(), bytes, n, 0600, FS_SYNC_NONE));
        assert_false(finds(&three));
        free(bytes);
        end();
        return;
    }
    end();
    CHECK(rmdir(disk) == 0);
}

/* Only what is at /sys/fs/cgroup and below counts: engines mount elsewhere for each container. */
TEST(a_mount_below_that_was_made_or_is_gone_is_another_list)
{
    struct layout_mounts before, after;
    if (!layout_mounts(&before) || unshare(CLONE_NEWNS) < 0)
        return; /* before Linux 6.8, or not root */
    begin();
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(layout_mounts(&before) && layout_mounts(&after));
    assert_true(same(&before, &after));
    CHECK(mount("none", dir, "tmpfs", 0, NULL) == 0);
    CHECK(layout_mounts(&after));
    assert_true(same(&before, &after));
    CHECK(umount2(dir, MNT_DETACH) == 0);
    /* one over all of them, the same again, and one below it */
    CHECK(mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) == 0 && layout_mounts(&before));
    assert_int_equal(before.n, 1);
    assert_false(same(&before, &after));
    CHECK(umount2("/sys/fs/cgroup", MNT_DETACH) == 0 && layout_mounts(&before));
    assert_true(same(&before, &after));
    CHECK(mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) == 0 && mkdir("/sys/fs/cgroup/x", 0755) == 0);
    CHECK(layout_mounts(&before) && mount("none", "/sys/fs/cgroup/x", "tmpfs", 0, NULL) == 0 && layout_mounts(&after));
    assert_int_equal(after.n, 2);
    CHECK(umount2("/sys/fs/cgroup/x", MNT_DETACH) == 0 && mount("none", "/sys/fs/cgroup/x", "tmpfs", 0, NULL) == 0);
    CHECK(layout_mounts(&before));
    assert_int_equal(before.n, 2);
    assert_false(same(&before, &after)); /* an id comes once */
    end();
}
