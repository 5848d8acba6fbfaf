// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <sqlite3.h>
#include <unistd.h>

#include "engine/db.h"
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
    CHECK_OK(db_container_add(db, &c, &none));
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
    CHECK_SAYS(db_container_add(db, &c, &none),
               "the name 'web' is taken by container aa11: remove or rename it, or choose another name");
    add(db, "bb", "other", 2);
    CHECK_ERR(db_container_rename(db, "bb", "web"), ERR_EXISTS);
    CHECK_OK(db_container_rename(db, "bb", "third"));
    CHECK_OK(db_container_remove(db, "aa11"));
    CHECK_OK(db_container_remove(db, "aa11"));
    CHECK_OK(db_container_add(db, &c, &none));
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
    CHECK_OK(db_container_add(db, &c, &uses));
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
