// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <unistd.h>

#include "engine/grammar.h"
#include "engine/paths.h"

/* A mount as one line: "type source target options" */
static char *line_of(const struct container_mount *m)
{
    own_str struct str s = { 0 };
    str_printf(&s, "%s %s %s", m->type, m->source ? m->source : "-", m->target);
    for (size_t i = 0; i < m->options.n; i++)
        str_printf(&s, " %s", m->options.items[i]);
    str_printf(&s, "%s%s%s%s%s%s%s", m->read_only ? " ro" : "", m->nocopy ? " nocopy" : "",
               m->anonymous ? " anonymous" : "", m->make_source ? " make" : "", m->non_recursive ? " once" : "",
               m->propagation ? " " : "", m->propagation ? m->propagation : "");
    str_printf(&s, "%s%s", m->chown ? " U" : "", m->overlay ? " O" : "");
    return str_take(&s);
}

typedef err *parse_fn(const char *text, struct container_mount *ret);
struct row {
    const char *text, *line; /* line NULL: said instead */
    const char *said;
};

static void check_rows(parse_fn *parse, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct container_mount m;
        own(err) err *e = parse(rows[i].text, &m);
        if (rows[i].said) {
            assert_string_equal(err_text(e), rows[i].said);
            continue;
        }
        if (e)
            fail_msg("'%s': %s", rows[i].text, err_text(e));
        own_mem char *line = line_of(&m);
        assert_string_equal(line, rows[i].line);
        container_mount_clear(&m);
    }
}

TEST(volumes_have_dockers_grammar)
{
    static const struct row rows[] = {
        { "/data", "volume - /data anonymous", NULL },
        { "cache:/data", "volume cache /data", NULL },
        { "cache:/data:ro", "volume cache /data ro", NULL },
        { "cache:/data:ro,nocopy", "volume cache /data ro nocopy", NULL },
        { "/host:/data", "bind /host /data make", NULL },
        { "/host//x/../y:/data/", "bind /host/y /data make", NULL },
        { "/host:/data:rw,rshared", "bind /host /data make rshared", NULL },
        { "/host:/data:z", "bind /host /data make", NULL },
        { "/host:/data:bind", "bind /host /data make once", NULL },
        { "/data:ro", "volume - /data ro anonymous", NULL },
        { "/a:/b:/c:/d", NULL, "'/a:/b:/c:/d': too many colons: it is [SOURCE:]TARGET[:OPTIONS]" },
        { "/a::ro", NULL, "'/a::ro': empty part: it is [SOURCE:]TARGET[:OPTIONS]" },
        { "", NULL, "'': it is empty: [SOURCE:]TARGET[:OPTIONS]" },
        { "/host:/data:U,noexec,O", "bind /host /data noexec make U O", NULL },
        { "/host:/data:O,upperdir=/u", NULL, "'/host:/data:O,upperdir=/u': upperdir= and workdir= belong together" },
        { "/data:O", NULL,
          "'/data:O': 'O' is for a bind mount or a volume with a name: there is nothing to lay it over" },
        { "vol:/b:subpath=/x", NULL, "'vol:/b:subpath=/x': subpath '/x' must be relative, without '..'" },
        { "/a:b", NULL,
          "'/a:b': 'b' is not one of ro, rw, z, Z, U, O, nocopy, subpath=, noexec, nosuid, nodev, [r]shared, "
          "[r]slave, [r]private" },
        { "x:relative", NULL,
          "'x:relative': 'x' is no volume name (a path begins with '/' or '.'): letters, digits and '_', '.', '-', at "
          "least two, the first a letter or digit" },
        { "xy:relative", NULL, "'xy:relative': the path in the container, 'relative', must be absolute" },
        { "/a:/", NULL, "'/a:/': the container's root cannot be mounted over" },
        { "/a:/b/..", NULL, "'/a:/b/..': the container's root cannot be mounted over" },
        { "/a:/b:quick", NULL,
          "'/a:/b:quick': 'quick' is not one of ro, rw, z, Z, U, O, nocopy, subpath=, noexec, nosuid, nodev, "
          "[r]shared, "
          "[r]slave, [r]private" },
        { "vol:/b:rshared", NULL, "'vol:/b:rshared': 'rshared' is for bind mounts only" },
        { "/a:/b:nocopy", NULL, "'/a:/b:nocopy': 'nocopy' is for volumes only" },
    };
    check_rows(grammar_volume, rows, ARRAY_SIZE(rows));
}

TEST(a_relative_volume_source_begins_at_the_working_directory)
{
    struct container_mount m;
    char cwd[4096];
    CHECK(getcwd(cwd, sizeof cwd) != NULL);
    CHECK_OK(grammar_volume("./sub:/data", &m));
    own_mem char *want = mem_printf("%s/sub", cwd);
    assert_string_equal(m.source, want);
    container_mount_clear(&m);
}

TEST(mounts_have_dockers_grammar)
{
    static const struct row rows[] = {
        { "type=bind,source=/a,target=/b", "bind /a /b", NULL },
        { "type=bind,src=/a,dst=/b,readonly", "bind /a /b ro", NULL },
        { "type=bind,src=/a,destination=/b,ro=false", "bind /a /b", NULL },
        { "type=bind,src=/a,dst=/b,bind-propagation=rslave,bind-nonrecursive", "bind /a /b once rslave", NULL },
        { "target=/b,source=vol", "volume vol /b", NULL },
        { "type=volume,target=/b", "volume - /b anonymous", NULL },
        { "type=volume,source=vol,target=/b,volume-nocopy=true", "volume vol /b nocopy", NULL },
        { "type=tmpfs,target=/t", "tmpfs - /t nosuid nodev noexec", NULL },
        { "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777", "tmpfs - /t size=1048576 mode=1777 nosuid nodev noexec",
          NULL },
        { "type=bind,source=/a", NULL, "'type=bind,source=/a': target=PATH is missing" },
        { "type=bind,target=/b", NULL, "'type=bind,target=/b': source=PATH is missing" },
        { "type=npipe,target=/b", NULL,
          "'type=npipe,target=/b': type 'npipe' is docker's on Windows: husk has bind, volume, image, tmpfs, ramfs, "
          "devpts" },
        { "type=ram,target=/b", NULL,
          "'type=ram,target=/b': type 'ram' is not one of bind, volume, image, tmpfs, ramfs, devpts" },
        { "type=bind,sorce=/a,target=/b", NULL,
          "'type=bind,sorce=/a,target=/b': unknown key 'sorce': did you mean 'source'?" },
        { "type=tmpfs,source=/a,target=/b", NULL, "'type=tmpfs,source=/a,target=/b': a tmpfs has no source" },
        { "type=tmpfs,target=/b,tmpfs-mode=9", NULL, "'type=tmpfs,target=/b,tmpfs-mode=9': '9' is no octal file mode" },
        { "type=volume,target=/b,tmpfs-size=1m", NULL,
          "'type=volume,target=/b,tmpfs-size=1m': 'tmpfs-size' is for type=tmpfs only" },
        { "type=volume,target=/b,source=../x", NULL,
          "'type=volume,target=/b,source=../x': '../x' is no volume name: letters, digits and '_', '.', '-', at least "
          "two, the first a letter or digit" },
        { "target", NULL, "'target': 'target' needs a value" },
    };
    check_rows(grammar_mount, rows, ARRAY_SIZE(rows));
}

TEST(a_tmpfs_has_dockers_defaults)
{
    static const struct row rows[] = {
        { "/t", "tmpfs - /t nosuid nodev noexec", NULL },
        { "/t:size=64k,exec", "tmpfs - /t size=64k exec nosuid nodev", NULL },
        { "/t:ro", "tmpfs - /t ro nosuid nodev noexec ro", NULL },
        { "/t:sise=1", NULL,
          "'/t:sise=1': 'sise=1' is no option of a tmpfs: size=, mode=, uid=, gid=, ro, noexec, exec ..." },
        { "t", NULL, "'t': the path in the container, 't', must be absolute" },
    };
    check_rows(grammar_tmpfs, rows, ARRAY_SIZE(rows));
}

TEST(ulimits_are_checked)
{
    static const struct {
        const char *text;
        int64_t soft, hard;
        const char *said;
    } rows[] = {
        { "nofile=1024", 1024, 1024, NULL },
        { "nofile=1024:2048", 1024, 2048, NULL },
        { "core=-1", -1, -1, NULL },
        { "core=0:unlimited", 0, -1, NULL },
        { "nofile=2:1", 0, 0, "'nofile=2:1': the soft limit is above the hard one" },
        { "nofile=-1:1", 0, 0, "'nofile=-1:1': the soft limit is above the hard one" },
        { "nofiles=1", 0, 0, "'nofiles': no such limit: did you mean 'nofile'?" },
        { "nofile", 0, 0, "'nofile': it is NAME=SOFT[:HARD]" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct container_ulimit u = { 0 };
        own(err) err *e = grammar_ulimit(rows[i].text, &u);
        if (rows[i].said) {
            assert_string_equal(err_text(e), rows[i].said);
            continue;
        }
        CHECK(!e);
        CHECK(u.soft == rows[i].soft && u.hard == rows[i].hard);
        free(u.name);
    }
}

TEST(devices_are_host_path_and_access)
{
    static const struct {
        const char *text, *host, *path, *access;
    } rows[] = {
        { "/dev/fuse", "/dev/fuse", "/dev/fuse", "rwm" },
        { "/dev/fuse:r", "/dev/fuse", "/dev/fuse", "r" },
        { "/dev/fuse:/dev/x", "/dev/fuse", "/dev/x", "rwm" },
        { "/dev/fuse:/dev/x:rw", "/dev/fuse", "/dev/x", "rw" },
        { "dev/fuse", NULL, NULL, NULL },
        { "/dev/fuse:/dev/x:rwx", NULL, NULL, NULL },
        { "/a:/b:r:w", NULL, NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct container_device d = { 0 };
        if (!rows[i].host) {
            CHECK_ERR(grammar_device(rows[i].text, &d), ERR_INVALID);
            continue;
        }
        CHECK_OK(grammar_device(rows[i].text, &d));
        assert_string_equal(d.host, rows[i].host);
        assert_string_equal(d.path, rows[i].path);
        assert_string_equal(d.access, rows[i].access);
        container_device_clear(&d);
    }
}

TEST(device_rules_are_type_numbers_access)
{
    static const char *const good[] = { "c 1:3 rwm", "b *:* m", "a *:* rwm", "c 10:* r" };
    static const char *const bad[] = { "", "c", "c 1:3", "d 1:3 r", "c 1 r", "c 1:3 x", "c 1:3 rwm x", "c -1:3 r" };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        CHECK_OK(grammar_device_rule(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_ERR(grammar_device_rule(bad[i]), ERR_INVALID);
}

TEST(a_later_env_wins_and_a_bare_key_takes_ours)
{
    own_strv struct strv env = { 0 };
    CHECK(setenv("HUSK_TEST_OURS", "from us", 1) == 0);
    CHECK(unsetenv("HUSK_TEST_NONE") == 0);
    CHECK_OK(grammar_env("A=1", &env));
    CHECK_OK(grammar_env("A=2=3", &env));
    CHECK_OK(grammar_env("HUSK_TEST_OURS", &env));
    CHECK_OK(grammar_env("HUSK_TEST_NONE", &env));
    CHECK(env.n == 2);
    assert_string_equal(strv_getenv(&env, "A"), "2=3");
    assert_string_equal(strv_getenv(&env, "HUSK_TEST_OURS"), "from us");
    CHECK_ERR(grammar_env("=x", &env), ERR_INVALID);
}

static char *write_file(const char *text)
{
    char *path = mem_strdup("/tmp/husk-grammar-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
    return path;
}

TEST(env_files_have_comments_and_say_the_line)
{
    own_strv struct strv env = { 0 };
    own_mem char *good = write_file("# no\nA=1\r\n\n  B=two words\nC=x # not a comment\n");
    CHECK_OK(grammar_env_file(good, &env));
    CHECK(env.n == 3);
    assert_string_equal(strv_getenv(&env, "A"), "1");
    assert_string_equal(strv_getenv(&env, "B"), "two words");
    assert_string_equal(strv_getenv(&env, "C"), "x # not a comment");
    own_mem char *bad = write_file("A=1\nB C=2\n");
    own_mem char *said = mem_printf("'%s', line 2: 'B C' has white space in its name", bad);
    CHECK_SAYS(grammar_env_file(bad, &env), said);
    CHECK_ERR(grammar_env_file("/no/such/file", &env), ERR_NOT_FOUND);
    CHECK(unlink(good) == 0 && unlink(bad) == 0);
}

TEST(hosts_are_names_and_addresses)
{
    static const struct {
        const char *text, *line;
    } rows[] = {
        { "db:10.0.0.1", "db:10.0.0.1" },
        { "db=10.0.0.1", "db:10.0.0.1" },
        { "db:[::1]", "db:::1" },
        { "db:::1", "db:::1" },
        { "me:host-gateway", "me:host-gateway" },
        { "db", NULL },
        { "db:", NULL },
        { ":1.2.3.4", NULL },
        { "db:1.2.3", NULL },
        { "d b:1.2.3.4", NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_mem char *line = NULL;
        if (!rows[i].line) {
            CHECK_ERR(grammar_add_host(rows[i].text, &line), ERR_INVALID);
            continue;
        }
        CHECK_OK(grammar_add_host(rows[i].text, &line));
        assert_string_equal(line, rows[i].line);
    }
}

TEST(users_have_at_most_a_group)
{
    own_mem char *user = NULL, *group = NULL;
    CHECK_OK(grammar_user("a:b", &user, &group));
    assert_string_equal(user, "a");
    assert_string_equal(group, "b");
    own_mem char *user2 = NULL, *group2 = NULL;
    CHECK_OK(grammar_user("1000", &user2, &group2));
    assert_string_equal(user2, "1000");
    CHECK(group2 == NULL);
    own_mem char *u = NULL, *g = NULL;
    CHECK_ERR(grammar_user("a:b:c", &u, &g), ERR_INVALID);
    CHECK_ERR(grammar_user("a b", &u, &g), ERR_INVALID);
}

TEST(cpu_lists_are_the_kernels)
{
    static const char *const good[] = { "0", "0-3", "0,2", "0-3,7" };
    static const char *const bad[] = { "", ",", "0,", "-1", "0-", "a", "0 1" };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        CHECK_OK(grammar_cpu_list(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_ERR(grammar_cpu_list(bad[i]), ERR_INVALID);
}

TEST(names_are_dockers)
{
    CHECK_OK(grammar_name("container name", "a_b-c.9"));
    static const char *const bad[] = { "", "a", "-ab", ".ab", "a/b", "a b", "../x", "\xc3\xa9t\xc3\xa9" };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_ERR(grammar_name("container name", bad[i]), ERR_INVALID);
}

TEST(paths_are_cleaned_as_text)
{
    static const char *const rows[][2] = {
        { "/", "/" },        { "//", "/" },        { "/a/b/", "/a/b" }, { "/a/./b", "/a/b" },
        { "/a/../b", "/b" }, { "/../../a", "/a" }, { "/a/..", "/" },    { "/a/...", "/a/..." },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_mem char *clean = paths_clean(rows[i][0]);
        assert_string_equal(clean, rows[i][1]);
    }
}
