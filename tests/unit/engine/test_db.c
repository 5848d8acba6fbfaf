// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/db_look.h"
#include "engine/db_network.h"
#include "engine/db_parts.h"
#include "os/fs.h"

static char root[] = "/tmp/husk-db-XXXXXX";

static struct db *fresh(void)
{
    struct db *db = NULL;
    memcpy(root, "/tmp/husk-db-XXXXXX", sizeof root);
    CHECK(mkdtemp(root) != NULL);
    CHECK_OK(db_open(root, DB_MAKE, &db));
    return db;
}

static void done(struct db *db)
{
    db_free(db);
    CHECK_OK(fs_remove_tree_at(-100, root)); /* AT_FDCWD */
}

static struct db_container row(const char *id, const char *name, int64_t created_ns)
{
    return (struct db_container){ .id = (char *)id,
                                  .name = (char *)name,
                                  .image = (char *)"busybox",
                                  .created_ns = created_ns,
                                  .config = (char *)"{}" };
}

static void add(struct db *db, const char *id, const char *name, int64_t created_ns)
{
    struct strv none = { 0 };
    struct db_container c = row(id, name, created_ns);
    CHECK_OK(db_container_add(db, &c, &none, NULL, NULL));
}

TEST(a_missing_file_is_not_found_and_not_made)
{
    struct db *db = NULL;
    CHECK_ERR(db_open("/tmp/husk-no-such-root", DB_MUST_EXIST, &db), ERR_NOT_FOUND);
    CHECK(db == NULL);
}

TEST(containers_are_found_by_name_id_and_unique_prefix)
{
    struct db *db = fresh();
    struct db_container c;
    add(db, "aa11", "first", 1);
    add(db, "aa22", "second", 2);
    add(db, "bb33", "aa2", 3); /* a name that is also a prefix of an ID: the name wins */
    static const char *const rows[][2] = { { "first", "aa11" }, { "aa11", "aa11" },    { "aa1", "aa11" },
                                           { "aa2", "bb33" },   { "/second", "aa22" }, { "b", "bb33" } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK_OK(db_container_find(db, rows[i][0], &c));
        assert_string_equal(c.id, rows[i][1]);
        db_container_clear(&c);
    }
    CHECK_ERR(db_container_find(db, "aa", &c), ERR_CONFLICT);
    CHECK_SAYS(db_container_find(db, "cc", &c), "no such container: 'cc'");
    CHECK_SAYS(db_container_find(db, "x' OR 1", &c), "no such container: 'x' OR 1'");
    done(db);
}

TEST(a_name_belongs_to_one)
{
    struct db *db = fresh();
    struct strv none = { 0 };
    struct db_container c = row("cc", "web", 2);
    add(db, "aa11", "web", 1);
    CHECK_SAYS(db_container_add(db, &c, &none, NULL, NULL),
               "the name 'web' is taken by container aa11: remove or rename it, or choose another name");
    add(db, "bb", "other", 2);
    CHECK_ERR(db_container_rename(db, "bb", "web"), ERR_EXISTS);
    CHECK_OK(db_container_rename(db, "bb", "third"));
    CHECK_OK(db_container_remove(db, "aa11"));
    CHECK_OK(db_container_remove(db, "aa11"));
    CHECK_OK(db_container_add(db, &c, &none, NULL, NULL));
    done(db);
}

TEST(lists_begin_with_the_newest)
{
    struct db *db = fresh();
    struct db_container *rows;
    size_t n;
    add(db, "aa", "old", 1);
    add(db, "bb", "new", 3);
    add(db, "cc", "mid", 2);
    CHECK_OK(db_container_list(db, &rows, &n));
    CHECK(n == 3);
    assert_string_equal(rows[0].name, "new");
    assert_string_equal(rows[2].name, "old");
    for (size_t i = 0; i < n; i++)
        db_container_clear(&rows[i]);
    free(rows);
    done(db);
}

TEST(a_volume_in_use_stays)
{
    struct db *db = fresh();
    own_strv struct strv uses = { 0 };
    struct db_volume v = { .name = (char *)"data", .created_ns = 1 };
    struct db_container c = row("aa11", "web", 1);
    CHECK_OK(db_volume_add(db, &v));
    CHECK_ERR(db_volume_add(db, &v), ERR_EXISTS);
    strv_add(&uses, "data");
    strv_add(&uses, "data"); /* mounted twice is one use */
    CHECK_OK(db_container_add(db, &c, &uses, NULL, NULL));
    CHECK_SAYS(db_volume_remove(db, "data"), "volume 'data' is in use by container aa11: remove that first");
    CHECK_OK(db_container_remove(db, "aa11"));
    CHECK_OK(db_volume_remove(db, "data"));
    struct db_volume found;
    CHECK_ERR(db_volume_find(db, "data", &found), ERR_NOT_FOUND);
    done(db);
}

TEST(what_is_written_is_there_for_the_next_process)
{
    struct db *db = fresh(), *again = NULL;
    struct db_container c;
    add(db, "aa11", "web", 1);
    CHECK_OK(db_open(root, DB_MUST_EXIST, &again)); /* while the first is open: readers do not wait */
    CHECK_OK(db_container_find(again, "web", &c));
    db_container_clear(&c);
    db_free(again);
    db_free(db);
    db = NULL;
    CHECK_OK(db_open(root, DB_MUST_EXIST, &db));
    CHECK_OK(db_container_find(db, "web", &c));
    db_container_clear(&c);
    done(db);
}

TEST(a_newer_file_is_refused_and_a_damaged_one_named)
{
    struct db *db = fresh();
    sqlite3 *raw = NULL;
    own_mem char *path = mem_printf("%s/husk.db", root);
    db_free(db);
    CHECK(sqlite3_open(path, &raw) == SQLITE_OK);
    CHECK(sqlite3_exec(raw, "PRAGMA user_version=99", NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(raw) == SQLITE_OK);
    CHECK_ERR(db_open(root, DB_MUST_EXIST, &db), ERR_UNSUPPORTED);
    CHECK_OK(fs_replace_at(-100, path,
                           "this is no database, and long enough to have been one ........................"
                           "..................................................",
                           128, 0600, FS_SYNC_NONE));
    own_mem char *wal = mem_printf("%s-wal", path);
    (void)unlink(wal);
    CHECK_ERR(db_open(root, DB_MUST_EXIST, &db), ERR_CORRUPT);
    done(NULL);
}

TEST(the_write_ahead_log_is_cut_to_nothing_now_and_then)
{
    enum { PAGES = 64, FRAME = 4096 + 24 };
    struct db *db = fresh();
    struct stat st;
    own_mem char *wal = mem_printf("%s/husk.db-wal", root);
    int64_t longest = 0;
    bool cut = false;
    for (int i = 0; i < 200; i++) {
        own_mem char *sql = mem_printf("PRAGMA user_version=%d", i + 1);
        CHECK_OK(db_run(db, sql));
        assert_int_equal(stat(wal, &st), 0);
        cut |= longest && st.st_size == 0;
        longest = st.st_size > longest ? st.st_size : longest;
    }
    CHECK(cut);
    CHECK(longest < (PAGES + 8) * FRAME);
    done(db);
}

/* How many containers a look at the files sees; -1: no look. */
static int64_t seen(const char *dir)
{
    own_mem char *path = mem_printf("%s/husk.db", dir);
    unsigned char *bytes = NULL;
    size_t len = 0;
    sqlite3 *handle = NULL;
    sqlite3_stmt *s = NULL;
    int64_t n = -1;
    own(err) err *e = db_look(path, &bytes, &len);
    if (e)
        return -1;
    CHECK(sqlite3_open(":memory:", &handle) == SQLITE_OK);
    CHECK(sqlite3_deserialize(handle, "main", bytes, (sqlite3_int64)len, (sqlite3_int64)len,
                              SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(handle, "SELECT count(*) FROM container", -1, &s, NULL) == SQLITE_OK);
    if (sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    CHECK(sqlite3_finalize(s) == SQLITE_OK);
    CHECK(sqlite3_close(handle) == SQLITE_OK);
    return n;
}

/* The log as it was after each of three rows, and with one byte of the last frame changed. */
TEST(a_look_sees_what_was_committed_and_no_more)
{
    struct db *db = fresh();
    own_mem char *wal = mem_printf("%s/husk.db-wal", root), *text = NULL;
    struct stat st[3];
    size_t len = 0;
    CHECK(sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK);
    assert_int_equal(seen(root), 0);
    for (int i = 0; i < 3; i++) {
        char id[] = { (char)('a' + i), '1', '\0' }, name[] = { 'n', (char)('1' + i), '\0' };
        add(db, id, name, i);
        assert_int_equal(stat(wal, &st[i]), 0);
        assert_int_equal(seen(root), i + 1);
    }
    CHECK_OK(fs_read_at(-100, wal, 1 << 20, &text, &len));
    db_free(db);
    assert_int_equal(len, st[2].st_size);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(fs_replace_at(-100, wal, text, (size_t)st[i].st_size, 0600, FS_SYNC_NONE));
        assert_int_equal(seen(root), i + 1);
    }
    CHECK_OK(fs_replace_at(-100, wal, text, len - 1, 0600, FS_SYNC_NONE)); /* a write that did not end */
    assert_int_equal(seen(root), 2);
    text[len - 100] ^= 1;
    CHECK_OK(fs_replace_at(-100, wal, text, len, 0600, FS_SYNC_NONE));
    assert_int_equal(seen(root), 2);
    text[24] ^= 1; /* the header's own sum: no frame counts */
    CHECK_OK(fs_replace_at(-100, wal, text, len, 0600, FS_SYNC_NONE));
    assert_int_equal(seen(root), 0);
    CHECK_OK(fs_replace_at(-100, wal, text, 7, 0600, FS_SYNC_NONE));
    assert_int_equal(seen(root), 0);
    done(NULL);
}

TEST(a_look_at_nothing_is_not_found_and_makes_nothing)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    struct stat st;
    CHECK_ERR(db_look("/tmp/husk-no-such-root/husk.db", &bytes, &len), ERR_NOT_FOUND);
    assert_int_equal(stat("/tmp/husk-no-such-root", &st), -1);
    struct db *db = fresh();
    own_mem char *path = mem_printf("%s/husk.db", root), *wal = mem_printf("%s-wal", path);
    db_free(db);
    (void)unlink(wal);
    CHECK_OK(fs_replace_at(-100, path, "short", 5, 0600, FS_SYNC_NONE));
    CHECK_ERR(db_look(path, &bytes, &len), ERR_CORRUPT);
    done(NULL);
}

/* ---- networks -------------------------------------------------------------------------------------------------- */

static struct db_endpoint endpoint(const char *container, const char *ip4)
{
    struct db_endpoint e = { .container = (char *)container, .network = (char *)"n1", .interface = (char *)"eth0" };
    CHECK_OK(ip_parse(ip4, &e.ip4));
    return e;
}

static void add_network(struct db *db, const char *id, const char *name)
{
    const struct db_network n = { (char *)id, (char *)name, (char *)"bridge", 1, (char *)"{}" };
    CHECK_OK(db_network_add(db, &n));
}

TEST(networks_are_found_by_name_and_unique_prefix)
{
    struct db *db = fresh();
    struct db_network n = { 0 };
    add_network(db, "aa11", "front");
    add_network(db, "aa22", "back");
    const struct db_network again = { (char *)"bb", (char *)"front", (char *)"bridge", 1, (char *)"{}" };
    CHECK_SAYS(db_network_add(db, &again), "there already is a network 'front'");
    CHECK_OK(db_network_find(db, "aa2", &n));
    assert_string_equal(n.name, "back");
    db_network_clear(&n);
    CHECK_ERR(db_network_find(db, "aa", &n), ERR_CONFLICT);
    CHECK_SAYS(db_network_find(db, "nope", &n), "no such network: 'nope'");
    done(db);
}

TEST(an_address_of_a_network_is_leased_once)
{
    struct db *db = fresh();
    struct db_endpoint a = endpoint("c1", "10.0.0.5"), b = endpoint("c2", "10.0.0.5"), c = endpoint("c2", "10.0.0.200");
    own(db_endpoints) struct db_endpoints l = { 0 };
    own_mem char *holder = NULL;
    struct ip first, last, top, none = { 0 };
    CHECK_OK(ip_parse("10.0.0.0", &first));
    CHECK_OK(ip_parse("10.0.0.255", &last));
    strv_add(&a.aliases, "web");
    strv_add(&a.aliases, "www");
    CHECK_OK(db_endpoint_add(db, &a));
    strv_free(&a.aliases);
    CHECK_ERR(db_endpoint_add(db, &a), ERR_EXISTS);
    CHECK_ERR(db_endpoint_add(db, &b), ERR_CONFLICT);
    CHECK_OK(db_endpoint_add(db, &c));
    CHECK_ERR(db_endpoint_lease(db, "c2", "n1", &a.ip4, &none), ERR_CONFLICT);
    CHECK_OK(db_endpoint_highest(db, "n1", &first, &last, &top));
    CHECK(ip_equal(&top, &c.ip4));
    CHECK_OK(db_endpoint_holder(db, "n1", &a.ip4, &holder));
    assert_string_equal(holder, "c1");
    CHECK_OK(db_endpoint_list(db, "c1", NULL, &l));
    CHECK(l.n == 1 && l.items[0].aliases.n == 2 && ip_equal(&l.items[0].ip4, &a.ip4));
    CHECK_OK(db_endpoint_lease(db, "c1", "n1", &none, &none));
    CHECK_OK(db_endpoint_lease(db, "c2", "n1", &a.ip4, &none));
    done(db);
}

TEST(a_network_in_use_is_not_removed_and_a_container_takes_its_endpoints_along)
{
    struct db *db = fresh();
    struct db_endpoint a = endpoint("c1", "10.0.0.5");
    own(db_endpoints) struct db_endpoints l = { 0 };
    own(db_ports) struct db_ports ports = { 0 };
    const struct db_port p = { (char *)"c1", (char *)"tcp", 80, (char *)"", 0, 40000 };
    add_network(db, "n1", "front");
    add(db, "c1", "web", 1);
    CHECK_OK(db_endpoint_add(db, &a));
    CHECK_OK(db_port_add(db, &p));
    CHECK_SAYS(db_network_remove(db, "n1", "front", DB_MUST_BE_UNUSED),
               "network 'front' is in use by container 'web': disconnect or remove that first, or force with -f");
    CHECK_OK(db_port_list(db, "c1", &ports));
    CHECK(ports.n == 1 && ports.items[0].host_port == 40000);
    db_ports_clear(&ports);
    CHECK_OK(db_container_remove(db, "c1"));
    CHECK_OK(db_endpoint_list(db, NULL, NULL, &l));
    CHECK(l.n == 0);
    CHECK_OK(db_port_list(db, NULL, &ports));
    CHECK(ports.n == 0);
    CHECK_OK(db_network_remove(db, "n1", "front", DB_MUST_BE_UNUSED));
    done(db);
}
