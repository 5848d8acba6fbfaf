// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
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

fallible db_fail(struct db *db, const char *what)
{
    int code = sqlite3_errcode(db->handle);
    int os = sqlite3_system_errno(db->handle);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_new(ERR_TIMEOUT, "%s in '%s': another husk holds it for too long", what, db->path);
    case SQLITE_FULL:
        return err_sys_as(ERR_EXHAUSTED, os == EDQUOT ? os : ENOSPC, "%s in '%s'", what, db->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_new(ERR_CORRUPT, "%s in '%s': the file is damaged: %s", what, db->path, sqlite3_errmsg(db->handle));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return err_sys(os ? os : EACCES, "%s in '%s'", what, db->path);
    case SQLITE_IOERR:
        if (db_disk_is_full(db->path))
            return err_sys_as(ERR_EXHAUSTED, ENOSPC, "%s in '%s'", what, db->path);
        return err_new(ERR_INTERNAL, "%s in '%s': %s", what, db->path, sqlite3_errmsg(db->handle));
    default:
        return err_new(ERR_INTERNAL, "%s in '%s': %s", what, db->path, sqlite3_errmsg(db->handle));
    }
}

fallible db_run(struct db *db, const char *sql)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(db, "write");
    return NULL;
}

fallible db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret)
{
    if (sqlite3_prepare_v2(db->handle, sql, -1, ret, NULL) != SQLITE_OK)
        return db_fail(db, "read");
    return NULL;
}

void db_bind_text(sqlite3_stmt *s, int i, const char *text)
{
    if (text)
        (void)sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(s, i);
}

char *db_column(sqlite3_stmt *s, int i)
{
    return mem_strdup((const char *)sqlite3_column_text(s, i));
}

/* Runs a statement that answers nothing. */
fallible db_finish(struct db *db, sqlite3_stmt *s, const char *what)
{
    if (sqlite3_step(s) != SQLITE_DONE)
        return db_fail(db, what);
    return NULL;
}

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

fallible db_open(const char *root, enum db_make make, struct db **ret)
{
    own(db) struct db *db = mem_zalloc(sizeof *db);
    db->path = mem_printf("%s/husk.db", root);
    if (make == DB_MUST_EXIST && access(db->path, F_OK) < 0)
        return err_sys(errno, "open '%s'", db->path);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    db_map_with_blocks();
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (make == DB_MAKE ? SQLITE_OPEN_CREATE : 0);
    if (make == DB_MAKE && access(root, F_OK) < 0)
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

void db_container_clear(struct db_container *c)
{
    free(c->id);
    free(c->name);
    free(c->image);
    free(c->image_id);
    free(c->manifest);
    free(c->config);
    free(c->pod);
    *c = (struct db_container){ 0 };
}

static fallible name_is_taken(struct db *db, const char *name)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT id FROM container WHERE name = ?", &s));
    db_bind_text(s, 1, name);
    const char *id = sqlite3_step(s) == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : "";
    return err_new(ERR_EXISTS, "the name '%s' is taken by container %.12s: remove or rename it, or choose another name",
                   name, id);
}

static fallible insert_container(struct db *db, const struct db_container *c)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "INSERT INTO container VALUES (?,?,?,?,?,?,?,?)", &s));
    db_bind_text(s, 1, c->id);
    db_bind_text(s, 2, c->name);
    db_bind_text(s, 3, c->image);
    db_bind_text(s, 4, c->image_id);
    db_bind_text(s, 5, c->manifest);
    (void)sqlite3_bind_int64(s, 6, c->created_ns);
    db_bind_text(s, 7, c->config);
    db_bind_text(s, 8, c->pod);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return name_is_taken(db, c->name);
    return code == SQLITE_DONE ? NULL : db_fail(db, "add a container");
}

static fallible insert_uses(struct db *db, const char *id, const struct strv *volumes)
{
    own(stmt) sqlite3_stmt *s = NULL;
    if (!volumes->n)
        return NULL;
    TRY(db_prepare(db, "INSERT OR IGNORE INTO volume_use VALUES (?,?)", &s));
    for (size_t i = 0; i < volumes->n; i++) {
        (void)sqlite3_reset(s);
        db_bind_text(s, 1, id);
        db_bind_text(s, 2, volumes->items[i]);
        TRY(db_finish(db, s, "note a volume's use"));
    }
    return NULL;
}

fallible db_commit_or_undo(struct db *db, err *take_e)
{
    if (!take_e)
        take_e = db_run(db, "COMMIT"); /* on a full disk it fails and leaves the transaction open */
    if (!take_e)
        return NULL;
    err_ignore(db_run(db, "ROLLBACK"), "the first error says what went wrong");
    return take_e;
}

fallible db_container_add(struct db *db, const struct db_container *c, const struct strv *volumes, db_more *more,
                          void *ctx)
{
    if (!volumes->n && !more) /* one statement is its own transaction */
        return insert_container(db, c);
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = insert_container(db, c);
    if (!e)
        e = insert_uses(db, c->id, volumes);
    if (!e && more)
        e = more(ctx);
    return db_commit_or_undo(db, e);
}

static void read_row(sqlite3_stmt *s, struct db_container *ret)
{
    *ret = (struct db_container){
        .id = db_column(s, 0),
        .name = db_column(s, 1),
        .image = db_column(s, 2),
        .image_id = db_column(s, 3),
        .manifest = db_column(s, 4),
        .created_ns = sqlite3_column_int64(s, 5),
        .config = db_column(s, 6),
        .pod = db_column(s, 7),
    };
}

static bool is_hex(const char *text)
{
    return *text && strspn(text, "0123456789abcdef") == strlen(text);
}

fallible db_container_find(struct db *db, const char *what, struct db_container *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    const char *name = what[0] == '/' ? what + 1 : what; /* docker prints names so */
    TRY(db_prepare(db, "SELECT * FROM container WHERE name = ?1 OR id = ?1", &s));
    db_bind_text(s, 1, name);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        read_row(s, ret);
        return NULL;
    }
    if (code != SQLITE_DONE)
        return db_fail(db, "find a container");
    if (!is_hex(what))
        return err_new(ERR_NOT_FOUND, "no such container: '%s'", what);
    own(stmt) sqlite3_stmt *prefix = NULL;
    /* Hexadecimal digits sort before 'g': the range is the prefix, and the primary key finds it. */
    TRY(db_prepare(db, "SELECT * FROM container WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2", &prefix));
    db_bind_text(prefix, 1, what);
    code = sqlite3_step(prefix);
    if (code == SQLITE_DONE)
        return err_new(ERR_NOT_FOUND, "no such container: '%s'", what);
    if (code != SQLITE_ROW)
        return db_fail(db, "find a container");
    struct db_container found;
    read_row(prefix, &found);
    if (sqlite3_step(prefix) == SQLITE_ROW) {
        db_container_clear(&found);
        return err_new(ERR_CONFLICT, "several containers have an ID that begins with '%s': give more of it", what);
    }
    *ret = found;
    return NULL;
}

fallible db_container_list(struct db *db, struct db_container **ret, size_t *ret_n)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct db_container *rows = NULL;
    size_t n = 0, room = 0;
    TRY(db_prepare(db, "SELECT * FROM container ORDER BY created_ns DESC", &s));
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (n == room)
            rows = mem_array(rows, room = room ? room * 2 : 16, sizeof *rows);
        read_row(s, &rows[n++]);
    }
    if (code != SQLITE_DONE) {
        for (size_t i = 0; i < n; i++)
            db_container_clear(&rows[i]);
        free(rows);
        return db_fail(db, "list containers");
    }
    *ret = rows;
    *ret_n = n;
    return NULL;
}

fallible db_container_set_config(struct db *db, const char *id, const char *config)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "UPDATE container SET config = ? WHERE id = ?", &s));
    db_bind_text(s, 1, config);
    db_bind_text(s, 2, id);
    return db_finish(db, s, "change a container");
}

fallible db_container_rename(struct db *db, const char *id, const char *name)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "UPDATE container SET name = ? WHERE id = ?", &s));
    db_bind_text(s, 1, name);
    db_bind_text(s, 2, id);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return name_is_taken(db, name);
    return code == SQLITE_DONE ? NULL : db_fail(db, "rename a container");
}

fallible db_delete_by(struct db *db, const char *sql, const char *key)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, sql, &s));
    db_bind_text(s, 1, key);
    return db_finish(db, s, "remove a row");
}

bool db_has_row(struct db *db, const char *sql, const char *key)
{
    own(stmt) sqlite3_stmt *s = NULL;
    err *e = db_prepare(db, sql, &s);
    if (e) {
        err_ignore(e, "what cannot be read is not there");
        return false;
    }
    db_bind_text(s, 1, key);
    return sqlite3_step(s) == SQLITE_ROW;
}

/* What names a container beside its own row. */
static const char *const use_tables[] = { "volume_use", "endpoint", "port" };

static fallible find_uses(struct db *db, const char *id, bool has[ARRAY_SIZE(use_tables)], bool *ret_any)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(
        db,
        "SELECT EXISTS (SELECT 1 FROM volume_use WHERE container = ?1),"
        " EXISTS (SELECT 1 FROM endpoint WHERE container = ?1), EXISTS (SELECT 1 FROM port WHERE container = ?1)",
        &s));
    db_bind_text(s, 1, id);
    if (sqlite3_step(s) != SQLITE_ROW)
        return db_fail(db, "find what a container uses");
    *ret_any = false;
    for (size_t i = 0; i < ARRAY_SIZE(use_tables); i++)
        *ret_any |= has[i] = sqlite3_column_int(s, (int)i) != 0;
    return NULL;
}

fallible db_container_remove(struct db *db, const char *id)
{
    bool has[ARRAY_SIZE(use_tables)], any = false;
    TRY(find_uses(db, id, has, &any));
    if (!any) /* one statement is its own transaction */
        return db_delete_by(db, "DELETE FROM container WHERE id = ?", id);
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    return db_commit_or_undo(db, db_container_forget(db, id));
}

fallible db_container_is_used(struct db *db, const char *id, bool *ret)
{
    bool has[ARRAY_SIZE(use_tables)];
    return find_uses(db, id, has, ret);
}

fallible db_container_forget(struct db *db, const char *id)
{
    for (size_t i = 0; i < ARRAY_SIZE(use_tables); i++) {
        own_mem char *sql = mem_printf("DELETE FROM %s WHERE container = ?", use_tables[i]);
        TRY(db_delete_by(db, sql, id));
    }
    return db_delete_by(db, "DELETE FROM container WHERE id = ?", id);
}

bool db_container_has(struct db *db, const char *id)
{
    return db_has_row(db, "SELECT 1 FROM container WHERE id = ?", id);
}

void db_volume_clear(struct db_volume *v)
{
    free(v->name);
    free(v->labels);
    free(v->options);
    *v = (struct db_volume){ 0 };
}

fallible db_volume_add(struct db *db, const struct db_volume *v)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "INSERT INTO volume VALUES (?,?,?,?,?,?)", &s));
    db_bind_text(s, 1, v->name);
    (void)sqlite3_bind_int64(s, 2, v->created_ns);
    (void)sqlite3_bind_int(s, 3, v->anonymous);
    db_bind_text(s, 4, v->labels ? v->labels : "{}");
    db_bind_text(s, 5, v->options ? v->options : "{}");
    (void)sqlite3_bind_int64(s, 6, v->project);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return err_new(ERR_EXISTS, "there already is a volume '%s'", v->name);
    return code == SQLITE_DONE ? NULL : db_fail(db, "add a volume");
}

static void read_volume(sqlite3_stmt *s, struct db_volume *ret)
{
    *ret = (struct db_volume){
        .name = db_column(s, 0),
        .created_ns = sqlite3_column_int64(s, 1),
        .anonymous = sqlite3_column_int(s, 2) != 0,
        .labels = db_column(s, 3),
        .options = db_column(s, 4),
        .project = sqlite3_column_int64(s, 5),
    };
}

fallible db_volume_find(struct db *db, const char *name, struct db_volume *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT * FROM volume WHERE name = ?", &s));
    db_bind_text(s, 1, name);
    int code = sqlite3_step(s);
    if (code == SQLITE_DONE)
        return err_new(ERR_NOT_FOUND, "no such volume: '%s'", name);
    if (code != SQLITE_ROW)
        return db_fail(db, "find a volume");
    read_volume(s, ret);
    return NULL;
}

fallible db_volume_list(struct db *db, struct db_volume **ret, size_t *ret_n)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct db_volume *rows = NULL;
    size_t n = 0, room = 0;
    TRY(db_prepare(db, "SELECT * FROM volume ORDER BY name", &s));
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (n == room)
            rows = mem_array(rows, room = room ? room * 2 : 16, sizeof *rows);
        read_volume(s, &rows[n++]);
    }
    if (code != SQLITE_DONE) {
        for (size_t i = 0; i < n; i++)
            db_volume_clear(&rows[i]);
        free(rows);
        return db_fail(db, "list volumes");
    }
    *ret = rows;
    *ret_n = n;
    return NULL;
}

fallible db_volume_users(struct db *db, const char *name, struct strv *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT container FROM volume_use WHERE volume = ?", &s));
    db_bind_text(s, 1, name);
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW)
        strv_add(ret, (const char *)sqlite3_column_text(s, 0));
    return code == SQLITE_DONE ? NULL : db_fail(db, "find a volume's users");
}

fallible db_volume_in_use(const char *name, const char *container)
{
    return err_new(ERR_CONFLICT, "volume '%s' is in use by container %.12s: remove that first", name, container);
}

fallible db_volume_remove(struct db *db, const char *name)
{
    own_strv struct strv users = { 0 };
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = db_volume_users(db, name, &users);
    if (!e && users.n)
        e = db_volume_in_use(name, users.items[0]);
    if (!e)
        e = db_delete_by(db, "DELETE FROM volume WHERE name = ?", name);
    return db_commit_or_undo(db, e);
}
