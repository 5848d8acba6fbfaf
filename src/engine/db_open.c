// SPDX-License-Identifier: GPL-2.0-or-later
/* husk.db is opened, and brought to this husk's tables. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/db_look.h"
#include "engine/db_map.h"
#include "engine/db_parts.h"
#include "os/fs.h"

/* What brings a file of version N to version N + 1. The first makes everything. */
static const char *const upgrades[] = {
    "CREATE TABLE container (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image TEXT, image_id TEXT, manifest TEXT,"
    " created_ns INTEGER NOT NULL, config TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE volume (name TEXT PRIMARY KEY, created_ns INTEGER NOT NULL, anonymous INTEGER NOT NULL,"
    " labels TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE volume_use (container TEXT NOT NULL, volume TEXT NOT NULL, PRIMARY KEY (container, volume))"
    " WITHOUT ROWID;",
    /* networks: see db_network.h */
    "CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, driver TEXT NOT NULL,"
    " created_ns INTEGER NOT NULL, config TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE endpoint (container TEXT NOT NULL, network TEXT NOT NULL, position INTEGER NOT NULL,"
    " interface TEXT NOT NULL, want_ip4 INTEGER, want_ip6 BLOB, want_mac TEXT, aliases TEXT, options TEXT,"
    " ip4 INTEGER, ip6 BLOB, PRIMARY KEY (container, network)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX endpoint_ip4 ON endpoint (network, ip4) WHERE ip4 IS NOT NULL;"
    "CREATE UNIQUE INDEX endpoint_ip6 ON endpoint (network, ip6) WHERE ip6 IS NOT NULL;"
    "CREATE TABLE port (container TEXT NOT NULL, proto TEXT NOT NULL, container_port INTEGER NOT NULL,"
    " host_ip TEXT NOT NULL, want_port INTEGER NOT NULL, host_port INTEGER NOT NULL,"
    " PRIMARY KEY (container, proto, container_port, host_ip, want_port)) WITHOUT ROWID;"
    "CREATE INDEX port_host ON port (host_port, proto);",
    ("ALTER TABLE volume ADD COLUMN options TEXT NOT NULL DEFAULT '{}';"
     "ALTER TABLE volume ADD COLUMN project INTEGER NOT NULL DEFAULT 0;"),
    ("CREATE TABLE pod (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_ns INTEGER NOT NULL, infra TEXT,"
     " config TEXT NOT NULL) WITHOUT ROWID;"
     "ALTER TABLE container ADD COLUMN pod TEXT;"),
    /* the trash: see db_trash.h */
    "CREATE TABLE trash (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, command TEXT NOT NULL,"
    " bytes INTEGER NOT NULL);"
    "CREATE TABLE trash_container (id TEXT PRIMARY KEY, entry INTEGER NOT NULL, name TEXT NOT NULL, image TEXT,"
    " image_id TEXT, manifest TEXT, created_ns INTEGER NOT NULL, config TEXT NOT NULL, pod TEXT) WITHOUT ROWID;"
    "CREATE TABLE trash_volume (item INTEGER PRIMARY KEY AUTOINCREMENT, entry INTEGER NOT NULL, name TEXT NOT NULL,"
    " created_ns INTEGER NOT NULL, anonymous INTEGER NOT NULL, labels TEXT NOT NULL, options TEXT NOT NULL,"
    " project INTEGER NOT NULL);"
    "CREATE TABLE trash_use (container TEXT NOT NULL, volume TEXT NOT NULL, PRIMARY KEY (container, volume))"
    " WITHOUT ROWID;"
    "CREATE TABLE trash_endpoint (container TEXT NOT NULL, network TEXT NOT NULL, position INTEGER NOT NULL,"
    " interface TEXT NOT NULL, want_ip4 INTEGER, want_ip6 BLOB, want_mac TEXT, aliases TEXT, options TEXT,"
    " PRIMARY KEY (container, network)) WITHOUT ROWID;"
    "CREATE TABLE trash_port (container TEXT NOT NULL, proto TEXT NOT NULL, container_port INTEGER NOT NULL,"
    " host_ip TEXT NOT NULL, want_port INTEGER NOT NULL, host_port INTEGER NOT NULL,"
    " PRIMARY KEY (container, proto, container_port, host_ip, want_port)) WITHOUT ROWID;",
    "CREATE TABLE trash_pod (id TEXT PRIMARY KEY, entry INTEGER NOT NULL, name TEXT NOT NULL,"
    " created_ns INTEGER NOT NULL, infra TEXT, config TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE trash_image (item INTEGER PRIMARY KEY AUTOINCREMENT, entry INTEGER NOT NULL, name TEXT,"
    " id TEXT NOT NULL, target TEXT NOT NULL);"
    "ALTER TABLE trash ADD COLUMN image_bytes INTEGER NOT NULL DEFAULT 0;",
    "CREATE TABLE trash_network (item INTEGER PRIMARY KEY AUTOINCREMENT, entry INTEGER NOT NULL, id TEXT NOT NULL,"
    " name TEXT NOT NULL, driver TEXT NOT NULL, created_ns INTEGER NOT NULL, config TEXT NOT NULL);",
};
enum { VERSION = ARRAY_SIZE(upgrades) };

/* Long enough for a busy machine, short enough that a stuck writer is noticed. */
enum { BUSY_MS = 30000 };
/* Pages in the WAL before it goes back into the file. Small, since each new process reads the WAL's frames again; and
 * each checkpoint syncs the disk, so not too small. One container's life is 4 to 8 pages. */
enum { CHECKPOINT_PAGES = 64 };

static fallible read_version(struct db *db, int *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "PRAGMA user_version", &s));
    if (sqlite3_step(s) != SQLITE_ROW)
        return db_fail(db, "read");
    *ret = sqlite3_column_int(s, 0);
    return NULL;
}

static fallible upgrade(struct db *db)
{
    int version = 0;
    /* Outside the transaction: the journal mode cannot change inside one; it stays in the file. */
    TRY(db_run(db, "PRAGMA journal_mode=WAL"));
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    TRY(read_version(db, &version)); /* another process may have been faster */
    for (int v = version; v < VERSION; v++)
        TRY_AS(db_run(db, upgrades[v]), "bring it from version %d to %d", v, v + 1);
    own_mem char *sql = mem_printf("PRAGMA user_version=%d", VERSION);
    TRY(db_run(db, sql));
    return db_run(db, "COMMIT");
}

static fallible check_version(struct db *db, enum db_make make)
{
    int version = 0;
    TRY(read_version(db, &version));
    if (version == 0 && make == DB_MUST_EXIST) /* its maker was killed, or the disk was full, before it had tables */
        return err_new(ERR_NOT_FOUND, "'%s' is empty", db->path);
    if (version > VERSION)
        return err_new(ERR_UNSUPPORTED,
                       "'%s' was written by a newer husk (version %d, this one knows %d): use that one", db->path,
                       version, VERSION);
    return version < VERSION ? upgrade(db) : NULL;
}

/* As SQLite's own automatic checkpoint, but where nobody reads meanwhile the WAL is cut to nothing: else its frames
 * stay until the next writer begins anew, and each process reads and sums them again. Nobody is waited for. */
static int on_commit(void *unused, sqlite3 *handle, const char *name, int pages)
{
    if (pages < CHECKPOINT_PAGES)
        return SQLITE_OK;
    (void)sqlite3_busy_timeout(handle, 0);
    (void)sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_busy_timeout(handle, BUSY_MS);
    return SQLITE_OK;
}

static fallible open_file(const char *root, enum db_make make, struct db **ret)
{
    own(db) struct db *db = mem_zalloc(sizeof *db);
    db->path = mem_printf("%s/husk.db", root);
    if (make == DB_MUST_EXIST && access(db->path, F_OK) < 0)
        return err_sys(errno, "open '%s'", db->path);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    db_map_with_blocks();
    bool makes = make != DB_MUST_EXIST;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (makes ? SQLITE_OPEN_CREATE : 0);
    if (makes && access(root, F_OK) < 0)
        TRY(fs_mkdirs_at(AT_FDCWD, root, 0700));
    if (sqlite3_open_v2(db->path, &db->handle, flags, NULL) != SQLITE_OK)
        return db_fail(db, "open names");
    (void)sqlite3_busy_timeout(db->handle, BUSY_MS);
    /* Each command is short: a checkpoint (two syncs) at the end of every one would cost more than the command. */
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_wal_hook(db->handle, on_commit, NULL);
    TRY(check_version(db, make));
    TRY(db_run(db, "PRAGMA synchronous=NORMAL"));
    *ret = take(db);
    return NULL;
}

/* An older husk's tables are brought up to date in memory. */
static fallible open_look(const char *root, struct db **ret)
{
    own(db) struct db *db = mem_zalloc(sizeof *db);
    unsigned char *bytes = NULL;
    size_t len = 0;
    db->path = mem_printf("%s/husk.db", root);
    TRY(db_look(db->path, &bytes, &len));
    if (sqlite3_open_v2(":memory:", &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        sqlite3_free(bytes);
        return db_fail(db, "open names");
    }
    if (sqlite3_deserialize(db->handle, "main", bytes, (sqlite3_int64)len, (sqlite3_int64)len,
                            SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) != SQLITE_OK)
        return db_fail(db, "read");
    TRY(check_version(db, DB_MUST_EXIST));
    TRY(db_run(db, "PRAGMA query_only=1"));
    db->is_look = true;
    *ret = take(db);
    return NULL;
}

/* Whether it is the place that fails, and not what is there. */
static bool place_fails(const err *e)
{
    return e && !err_is(e, ERR_CORRUPT) && !err_is(e, ERR_TIMEOUT) && !err_is(e, ERR_UNSUPPORTED);
}

fallible db_open(const char *root, enum db_make make, struct db **ret)
{
    err *e = open_file(root, make, ret);
    if (make != DB_LOOK || !place_fails(e))
        return e;
    err *cannot_look = open_look(root, ret);
    if (!cannot_look)
        log_debug("husk.db is looked at in memory: %s", err_text(e));
    err_ignore(cannot_look ? cannot_look : e, "the first error is the one to tell, if there is one to tell at all");
    return cannot_look ? e : NULL;
}

/* What a checkpoint has taken out of the WAL meanwhile was synced by it. */
fallible db_settle(struct db *db)
{
    own_mem char *path = mem_printf("%s-wal", db->path);
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s'", path);
    return fdatasync(fd) < 0 ? err_sys(errno, "write '%s' to the disk", path) : NULL;
}

void db_free(struct db *db)
{
    if (!db)
        return;
    (void)sqlite3_close(db->handle);
    free(db->path);
    free(db);
}
