// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/packages_rpm.h"

#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { TAG_NAME = 1000, TAG_VERSION = 1001, TAG_RELEASE = 1002, TAG_EPOCH = 1003, TAG_ARCH = 1022 };
enum { TYPE_INT32 = 4, TYPE_STRING = 6 };
enum { ENTRY_SIZE = 16, HEADER_SIZE = 8, HEADER_MAX = 256 << 20 };

/* ---- one header ---- */

static uint32_t be32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct header {
    const unsigned char *entries, *data;
    uint32_t entries_n, data_n;
};

static bool open_header(const unsigned char *bytes, size_t n, struct header *ret)
{
    if (n < HEADER_SIZE)
        return false;
    uint64_t entries = be32(bytes), data = be32(bytes + 4);
    if (HEADER_SIZE + entries * ENTRY_SIZE + data > n)
        return false;
    *ret = (struct header){ bytes + HEADER_SIZE, bytes + HEADER_SIZE + entries * ENTRY_SIZE, (uint32_t)entries,
                            (uint32_t)data };
    return true;
}

/* Where a tag's value begins, and what is left of the data from there. */
static const unsigned char *value_of(const struct header *h, uint32_t tag, uint32_t type, size_t *ret_left)
{
    for (uint32_t i = 0; i < h->entries_n; i++) {
        const unsigned char *e = h->entries + (size_t)i * ENTRY_SIZE;
        uint32_t offset = be32(e + 8);
        if (be32(e) != tag || be32(e + 4) != type || offset >= h->data_n || be32(e + 12) == 0)
            continue;
        *ret_left = h->data_n - offset;
        return h->data + offset;
    }
    return NULL;
}

/* A word of one line, or NULL: none is there. Caller frees. */
static char *string_of(const struct header *h, uint32_t tag)
{
    size_t left = 0;
    const char *at = (const char *)value_of(h, tag, TYPE_STRING, &left);
    size_t n = at ? strnlen(at, left) : 0;
    return n && n < left && !memchr(at, '\n', n) ? mem_strndup(at, n) : NULL;
}

void packages_read_rpm(struct packages *p, const void *header, size_t n)
{
    struct header h;
    size_t left = 0;
    if (!open_header(header, n, &h))
        return;
    own_mem char *name = string_of(&h, TAG_NAME), *version = string_of(&h, TAG_VERSION);
    own_mem char *release = string_of(&h, TAG_RELEASE), *arch = string_of(&h, TAG_ARCH);
    const unsigned char *epoch = value_of(&h, TAG_EPOCH, TYPE_INT32, &left);
    if (!name || str_eq(name, "gpg-pubkey"))
        return;
    own_mem char *number = epoch && left >= 4 ? mem_printf("%u:", be32(epoch)) : mem_strdup("");
    char *all = mem_printf("%s%s%s%s", number, version ? version : "", release ? "-" : "", release ? release : "");
    packages_add(p, take(name), all, arch ? take(arch) : mem_strdup(""));
}

/* ---- the database ---- */

static void close_database(sqlite3 *db)
{
    (void)sqlite3_close(db);
}
static void close_query(sqlite3_stmt *q)
{
    (void)sqlite3_finalize(q);
}
OWN_TYPE(rpm_db, sqlite3 *, close_database)
OWN_TYPE(rpm_query, sqlite3_stmt *, close_query)

static fallible corrupt(sqlite3 *db)
{
    return err_new(ERR_CORRUPT, "the RPM database: %s", db ? sqlite3_errmsg(db) : "no memory");
}

/* A stranger's file: its schema may call nothing, and nothing beside it is looked at (immutable). */
fallible packages_of_rpmdb(int fd, struct packages *p)
{
    own(rpm_db) sqlite3 *db = NULL;
    own(rpm_query) sqlite3_stmt *query = NULL;
    char path[80];
    snprintf(path, sizeof path, "file:///proc/self/fd/%d?mode=ro&immutable=1", fd);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
        return corrupt(db);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, HEADER_MAX);
    if (sqlite3_prepare_v2(db, "SELECT blob FROM Packages", -1, &query, NULL) != SQLITE_OK)
        return corrupt(db);
    for (;;) {
        int got = sqlite3_step(query);
        if (got == SQLITE_DONE)
            return NULL;
        if (got != SQLITE_ROW)
            return corrupt(db);
        const void *bytes = sqlite3_column_blob(query, 0);
        if (bytes)
            packages_read_rpm(p, bytes, (size_t)sqlite3_column_bytes(query, 0));
    }
}
