// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/users.h"
#include "os/fs.h"

/* Layers of a container, each with files by path. */
struct layers {
    char dir[32];
    struct rootfs_source source;
};

static void put(const struct layers *l, const char *layer, const char *path, const char *text)
{
    own_mem char *whole = mem_printf("%s/%s%s", l->dir, layer, path);
    own_mem char *parent = mem_strndup(whole, (size_t)(strrchr(whole, '/') - whole));
    CHECK_OK(fs_mkdirs_at(AT_FDCWD, parent, 0755));
    own_fd int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(fd >= 0);
    CHECK_OK(fs_write_fd(fd, text, strlen(text), whole));
}

static void layers_make(struct layers *l)
{
    static const char *const names[] = { "upper", "top", "base" };
    *l = (struct layers){ .dir = "/tmp/husk-users-XXXXXX", .source = { .kind = ROOTFS_OVERLAY } };
    CHECK(mkdtemp(l->dir) != NULL);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        own_mem char *path = mem_printf("%s/%s", l->dir, names[i]);
        CHECK(mkdir(path, 0755) == 0);
        if (i == 0)
            l->source.upper = mem_strdup(path);
        else
            strv_add(&l->source.lowers, path);
    }
    put(l, "base", "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100:Alice:/home/alice:/bin/sh\n10:x:0:0:trap:/trap:/bin/sh\n");
    put(l, "base", "/etc/group", "root:x:0:\nusers:x:100:\nstaff:x:50:alice,bob\nwheel:x:10:root,alice\n");
}

static void layers_drop(struct layers *l)
{
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, l->dir));
    rootfs_source_free(&l->source);
}

/* "uid:gid home groups..." of a user. */
static char *resolved(const struct layers *l, const char *user, const struct strv *more)
{
    struct container_user u;
    own_str struct str s = { 0 };
    CHECK_OK(users_resolve(&l->source, user, more, &u));
    str_printf(&s, "%u:%u %s", u.uid, u.gid, u.home);
    for (size_t i = 0; i < u.groups_n; i++)
        str_printf(&s, " %u", u.groups[i]);
    container_user_clear(&u);
    return str_take(&s);
}

TEST(users_are_names_numbers_and_groups)
{
    static const char *const rows[][2] = {
        { "", "0:0 /root 0 10" },
        { "root", "0:0 /root 0 10" },
        { "alice", "1000:100 /home/alice 100 50 10" },
        { "1000", "1000:100 /home/alice 100 50 10" },
        { "alice:staff", "1000:50 /home/alice 50" },
        { "alice:7", "1000:7 /home/alice 7" },
        { "4242", "4242:0 / 0" },
        { "4242:4243", "4242:4243 / 4243" },
        { "10", "10:0 / 0" }, /* a number is a number: there is a root of that name (CVE-2016-3697) */
        { "4294967294", "4294967294:0 / 0" },
    };
    struct layers l;
    layers_make(&l);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_mem char *have = resolved(&l, rows[i][0], NULL);
        assert_string_equal(have, rows[i][1]);
    }
    own_strv struct strv more = { 0 };
    strv_add(&more, "staff");
    strv_add(&more, "77");
    own_mem char *with = resolved(&l, "root", &more);
    assert_string_equal(with, "0:0 /root 0 10 50 77");
    layers_drop(&l);
}

TEST(wrong_users_are_named)
{
    struct layers l;
    struct container_user u;
    layers_make(&l);
    CHECK_SAYS(users_resolve(&l.source, "bob", NULL, &u), "user 'bob' is not in the container's /etc/passwd");
    CHECK_SAYS(users_resolve(&l.source, "root:bob", NULL, &u), "group 'bob' is not in the container's /etc/group");
    CHECK_ERR(users_resolve(&l.source, "4294967295", NULL, &u), ERR_INVALID); /* (uid_t)-1: setuid would do nothing */
    CHECK_ERR(users_resolve(&l.source, "4294967296", NULL, &u), ERR_INVALID); /* would wrap to 0 */
    CHECK_ERR(users_resolve(&l.source, "0:4294967296", NULL, &u), ERR_INVALID);
    CHECK_ERR(users_resolve(&l.source, "-1", NULL, &u), ERR_NOT_FOUND);
    CHECK_ERR(users_resolve(&l.source, "0x1", NULL, &u), ERR_NOT_FOUND);
    layers_drop(&l);
}

TEST(the_topmost_file_counts_and_what_is_hidden_is_not_there)
{
    struct layers l;
    layers_make(&l);
    put(&l, "top", "/etc/passwd", "alice:x:1:1::/top:/bin/sh\n");
    own_mem char *top = resolved(&l, "alice", NULL);
    assert_string_equal(top, "1:1 /top 1 50 10");
    put(&l, "upper", "/etc/passwd", "alice:x:2:2::/upper:/bin/sh\n");
    own_mem char *upper = resolved(&l, "alice", NULL);
    assert_string_equal(upper, "2:2 /upper 2 50 10");

    /* a whiteout in a layer hides what is below, not what is above */
    own_mem char *group = mem_printf("%s/top/etc/group", l.dir);
    CHECK(mknod(group, S_IFCHR | 0600, makedev(0, 0)) == 0);
    own_mem char *hidden = resolved(&l, "alice", NULL);
    assert_string_equal(hidden, "2:2 /upper 2");
    layers_drop(&l);
}

TEST(an_opaque_directory_hides_what_is_below)
{
    struct layers l;
    layers_make(&l);
    own_mem char *etc = mem_printf("%s/top/etc", l.dir);
    CHECK(mkdir(etc, 0755) == 0);
    CHECK(setxattr(etc, "user.overlay.opaque", "y", 1, 0) == 0);
    own_mem char *have = resolved(&l, "1000", NULL);
    assert_string_equal(have, "1000:0 / 0");
    layers_drop(&l);
}

TEST(links_are_followed_inside_only)
{
    struct layers l;
    layers_make(&l);
    put(&l, "top", "/usr/lib/passwd", "alice:x:5:5::/linked:/bin/sh\n");
    own_mem char *passwd = mem_printf("%s/upper/etc", l.dir);
    CHECK(mkdir(passwd, 0755) == 0);
    own_mem char *link = mem_printf("%s/passwd", passwd);
    CHECK(symlink("../usr/lib/passwd", link) == 0); /* from one layer into another */
    own_mem char *have = resolved(&l, "alice", NULL);
    assert_string_equal(have, "5:5 /linked 5 50 10");
    CHECK(unlink(link) == 0);
    CHECK(symlink("../../../../../../../../etc/passwd", link) == 0); /* the host's is not reached: this is itself */
    struct container_user u;
    CHECK_ERR(users_resolve(&l.source, "alice", NULL, &u), ERR_INVALID);
    layers_drop(&l);
}
