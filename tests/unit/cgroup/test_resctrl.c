// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup/resctrl.h"
#include "os/fs.h"
#include "test.h"

/* A directory in place of /sys/fs/resctrl: what the kernel would make in a new group is made by the first write. */
struct fake {
    char path[64];
    int fd;
};
static struct fake fake_make(void)
{
    struct fake f = { .path = "/tmp/husk-resctrl-XXXXXX" };
    assert_non_null(mkdtemp(f.path));
    f.fd = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(f.fd >= 0);
    return f;
}
static void fake_free(struct fake *f)
{
    close(f->fd);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, f->path));
}
static void file_is(const struct fake *f, const char *path, const char *text)
{
    own_mem char *have = NULL;
    CHECK_OK(fs_read_at(f->fd, path, 4096, &have, NULL));
    assert_string_equal(have, text);
}
static bool there(const struct fake *f, const char *path)
{
    return faccessat(f->fd, path, F_OK, 0) == 0;
}

/* plan and make, as a start does. */
static err *start(const struct fake *f, const char *config, const char *id)
{
    own_json json_t *doc = json_loads(config, 0, NULL);
    struct resctrl r = { 0 };
    err *e = resctrl_plan(doc, id, &r);
    if (!e)
        e = err_wrap(resctrl_make(f->fd, &r, 4242), "linux.intelRdt"); /* as its row does */
    resctrl_clear(&r);
    return e;
}

TEST(a_container_without_a_closid_has_a_group_of_its_own_and_the_schemata_in_their_order)
{
    struct fake f = fake_make();
    CHECK_OK(start(&f,
                   "{\"schemata\": [\"L2:0=f\", \"MB:1=70\"], \"memBwSchema\": \"MB:0=20\", "
                   "\"l3CacheSchema\": \"L3:0=7f0\"}",
                   "c1"));
    file_is(&f, "c1/schemata", "L3:0=7f0\nMB:0=20\nL2:0=f\nMB:1=70\n");
    file_is(&f, "c1/tasks", "4242\n");
    CHECK(!there(&f, "c1/mon_groups"));
    CHECK_SAYS(start(&f, "{}", "c1"), "linux.intelRdt: there is a group 'c1' already: remove it, or name it as closID");
    CHECK(there(&f, "c1"));
    CHECK_OK(start(&f, "{}", "c2"));
    CHECK(!there(&f, "c2/schemata")); /* none asked: none written */
    fake_free(&f);
}

TEST(a_closid_is_made_with_a_schema_compared_when_it_is_there_and_never_removed)
{
    struct fake f = fake_make();
    own_strv struct strv dirs = { 0 };
    struct resctrl r = { 0 };
    own_json json_t *doc = json_loads("{\"closID\": \"gold\", \"l3CacheSchema\": \"L3:0=7f0\"}", 0, NULL);
    CHECK_SAYS(start(&f, "{\"closID\": \"gold\"}", "c1"),
               "linux.intelRdt: closID: there is no group 'gold', and no schema to make it with");
    CHECK_OK(start(&f, "{\"closID\": \"gold\", \"l3CacheSchema\": \"L3:0=7f0\"}", "c1"));
    file_is(&f, "gold/schemata", "L3:0=7f0\n");
    CHECK_OK(start(&f, "{\"closID\": \"gold\"}", "c2"));
    CHECK_OK(start(&f, "{\"closID\": \"gold\", \"l3CacheSchema\": \"L3:0=7f0\"}", "c2"));
    CHECK_SAYS(start(&f, "{\"closID\": \"gold\", \"l3CacheSchema\": \"L3:0=7ff\"}", "c2"),
               "linux.intelRdt: group 'gold' is there, and its schemata is not 'L3:0=7ff'");
    CHECK_ERR(start(&f, "{\"closID\": \"gold\", \"schemata\": [\"L2:0=f\"]}", "c2"), ERR_CONFLICT);
    CHECK_OK(resctrl_plan(doc, "c1", &r));
    resctrl_dirs(&r, &dirs);
    CHECK(dirs.n == 0);
    resctrl_clear(&r);
    fake_free(&f);
}

TEST(the_kernels_padding_of_a_schemata_is_no_difference)
{
    struct fake f = fake_make();
    CHECK(mkdirat(f.fd, "gold", 0755) == 0);
    int fd = openat(f.fd, "gold/schemata", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK_OK(fs_write_fd(fd, "    MB:0= 20;1=100\n    L3:0=7f0;1=01f\n", 39, "schemata"));
    close(fd);
    CHECK_OK(start(&f, "{\"closID\": \"gold\", \"l3CacheSchema\": \"L3:1=1f\", \"memBwSchema\": \"MB:0=20\"}", "c1"));
    CHECK_ERR(start(&f, "{\"closID\": \"gold\", \"memBwSchema\": \"MB:0=30\"}", "c1"), ERR_CONFLICT);
    CHECK_ERR(start(&f, "{\"closID\": \"gold\", \"memBwSchema\": \"MB:7=20\"}", "c1"), ERR_CONFLICT);
    fake_free(&f);
}

TEST(the_default_group_is_the_file_system_itself)
{
    struct fake f = fake_make();
    CHECK_OK(start(&f, "{\"closID\": \"/\", \"enableMonitoring\": true}", "c1"));
    file_is(&f, "tasks", "4242\n");
    file_is(&f, "mon_groups/c1/tasks", "4242\n");
    fake_free(&f);
}

TEST(a_monitoring_group_is_named_after_the_container_and_removed_with_it)
{
    struct fake f = fake_make();
    own_strv struct strv dirs = { 0 };
    struct resctrl r = { 0 };
    own_json json_t *doc = json_loads("{\"enableMonitoring\": true}", 0, NULL);
    CHECK_OK(resctrl_plan(doc, "c1", &r));
    CHECK_OK(resctrl_make(f.fd, &r, 7));
    file_is(&f, "c1/mon_groups/c1/tasks", "7\n");
    resctrl_dirs(&r, &dirs);
    CHECK(dirs.n == 2);
    assert_string_equal(dirs.items[0], "c1/mon_groups/c1");
    assert_string_equal(dirs.items[1], "c1");
    /* the kernel's rmdir takes the files with it; here they go first */
    CHECK(unlinkat(f.fd, "c1/mon_groups/c1/tasks", 0) == 0 && unlinkat(f.fd, "c1/tasks", 0) == 0);
    own(err) err *busy = resctrl_remove(f.fd, &dirs); /* mon_groups, which is the kernel's own, is still there */
    CHECK(busy);
    CHECK(!there(&f, "c1/mon_groups/c1"));
    CHECK(unlinkat(f.fd, "c1/mon_groups", AT_REMOVEDIR) == 0);
    CHECK_OK(resctrl_remove(f.fd, &dirs));
    CHECK(!there(&f, "c1"));
    CHECK_OK(resctrl_remove(f.fd, &dirs));
    resctrl_clear(&r);
    fake_free(&f);
}

TEST(a_change_of_a_group_is_one_write_of_one_line_each)
{
    struct fake f = fake_make();
    CHECK_OK(start(&f, "{\"l3CacheSchema\": \"L3:0=7f0\"}", "c1"));
    CHECK_OK(resctrl_change(f.fd, "c1", "L3:0=f", NULL));
    CHECK_OK(resctrl_change(f.fd, "c1", "L3:0=3", "MB:0=20"));
    file_is(&f, "c1/schemata", "L3:0=7f0\nL3:0=f\nL3:0=3\nMB:0=20\n");
    CHECK_SAYS(resctrl_change(f.fd, "c1", NULL, "L3:0=1"), "memory bandwidth: 'L3:0=1' does not begin with MB:");
    CHECK_SAYS(resctrl_change(f.fd, "c1", "L3:0=1\nMB:0=9", NULL),
               "a schema for resctrl group 'c1' is more than one line");
    CHECK_SAYS(resctrl_change(f.fd, "c2", "L3:0=1", NULL), "open resctrl group 'c2': No such file or directory");
    file_is(&f, "c1/schemata", "L3:0=7f0\nL3:0=f\nL3:0=3\nMB:0=20\n");
    fake_free(&f);
}

TEST(what_the_kernel_says_to_a_change_is_told)
{
    struct fake f = fake_make();
    CHECK(mkdirat(f.fd, "info", 0755) == 0 && mkdirat(f.fd, "c1", 0755) == 0);
    CHECK(mkdirat(f.fd, "c1/schemata", 0755) == 0); /* which no write opens */
    own_fd int fd = openat(f.fd, "info/last_cmd_status", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK_OK(fs_write_fd(fd, "mask out of range\n", 18, "status"));
    CHECK_SAYS(resctrl_change(f.fd, "c1", "L3:0=fffff", NULL),
               "resctrl group 'c1': the kernel says 'mask out of range': open 'schemata': Is a directory");
    fake_free(&f);
}

TEST(who_enters_by_exec_joins_the_groups_first_and_a_group_that_is_gone_limits_nobody)
{
    struct fake f = fake_make();
    CHECK_OK(start(&f, "{\"enableMonitoring\": true}", "c1"));
    CHECK_OK(resctrl_join(f.fd, "c1", "c1/mon_groups/c1"));
    file_is(&f, "c1/tasks", "4242\n0\n");
    file_is(&f, "c1/mon_groups/c1/tasks", "4242\n0\n");
    CHECK_OK(resctrl_join(f.fd, "c1", NULL));
    file_is(&f, "c1/tasks", "4242\n0\n0\n");
    CHECK_OK(resctrl_join(f.fd, "gone", "gone/mon_groups/c1"));
    CHECK(!there(&f, "gone"));
    fake_free(&f);
}

TEST(what_the_specification_forbids_is_refused)
{
    static const struct {
        const char *config, *message;
    } rows[] = {
        { "[]", "linux.intelRdt: expected an object" },
        { "{\"closID\": 5}", "linux.intelRdt: closID: expected one line of text" },
        { "{\"closID\": \"../x\"}", "linux.intelRdt: closID: '../x' is not the name of a group" },
        { "{\"closID\": \"info\"}", "linux.intelRdt: closID: 'info' is not the name of a group" },
        { "{\"memBwSchema\": \"L3:0=1\"}", "linux.intelRdt: memBwSchema: 'L3:0=1' does not begin with MB:" },
        { "{\"l3CacheSchema\": \"L3:0=1\\nMB:0=9\"}", "linux.intelRdt: l3CacheSchema: expected one line of text" },
        { "{\"schemata\": \"L3:0=1\"}", "linux.intelRdt: schemata: expected an array" },
        { "{\"schemata\": [\"L3:0=1\", 7]}", "linux.intelRdt: schemata[1]: expected one line of text" },
        { "{\"enableMonitoring\": 1}", "linux.intelRdt: enableMonitoring: expected true or false" },
        { "{\"enableCMT\": true}", "linux.intelRdt: enableCMT: runtime-spec 1.3 has enableMonitoring in its place" },
        { "{\"closid\": \"x\"}", "linux.intelRdt: closid: unknown property" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct resctrl r = { 0 };
        own_json json_t *doc = json_loads(rows[i].config, 0, NULL);
        CHECK_SAYS(resctrl_plan(doc, "c1", &r), rows[i].message);
    }
}
