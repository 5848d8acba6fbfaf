// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db_look.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fs.h"

enum {
    FILE_MAX = 256 << 20,
    HEADER = 100, /* of the database */
    LOG_HEADER = 32,
    FRAME_HEADER = 24,
    LOG_MAGIC = 0x377f0682, /* and one more: sums are of big-endian words */
    TRIES = 20,
};
/* The kernel's clock of files goes in steps: what was written a moment ago may be written again at the same time. */
enum { STEP_NS = 20000000 };

/* One file, and what tells that it is another by now. */
struct part {
    char *bytes;
    size_t len;
    struct stat st;
};

static void own_drop_part(struct part *p)
{
    free(p->bytes);
}

static uint32_t be32(const void *at)
{
    const unsigned char *b = at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint32_t le32(const void *at)
{
    const unsigned char *b = at;
    return (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
}

/* ---- both files, of one moment ---- */

static fallible look_at(const char *path, struct stat *ret)
{
    *ret = (struct stat){ 0 };
    return stat(path, ret) == 0 || errno == ENOENT ? NULL : err_sys(errno, "look at '%s'", path);
}

static fallible read_part(const char *path, struct part *p)
{
    free(take(p->bytes));
    p->len = 0;
    TRY(look_at(path, &p->st));
    return p->st.st_ino ? fs_read_at(AT_FDCWD, path, FILE_MAX, &p->bytes, &p->len) : NULL;
}

static fallible has_stayed(const char *path, const struct part *p, const struct timespec *began, bool *ret)
{
    struct stat st;
    TRY(look_at(path, &st));
    int64_t age = (int64_t)(began->tv_sec - st.st_mtim.tv_sec) * 1000000000 + began->tv_nsec - st.st_mtim.tv_nsec;
    *ret = *ret && st.st_ino == p->st.st_ino && st.st_size == p->st.st_size && (size_t)st.st_size == p->len &&
           st.st_mtim.tv_sec == p->st.st_mtim.tv_sec && st.st_mtim.tv_nsec == p->st.st_mtim.tv_nsec &&
           (age > STEP_NS || age < -STEP_NS /* a clock that was set back */);
    return NULL;
}

static fallible read_both(const char *path, const char *log_path, struct part *file, struct part *log)
{
    for (int i = 0; i < TRIES; i++) {
        struct timespec began = { 0 };
        bool stayed = true;
        if (i)
            (void)nanosleep(&(struct timespec){ .tv_nsec = STEP_NS }, NULL);
        (void)clock_gettime(CLOCK_REALTIME, &began);
        TRY(read_part(path, file));
        TRY(read_part(log_path, log));
        TRY(has_stayed(path, file, &began, &stayed));
        TRY(has_stayed(log_path, log, &began, &stayed));
        if (stayed)
            return NULL;
    }
    return err_new(ERR_TIMEOUT, "read '%s': others write into it all the time", path);
}

/* ---- the log's pages ---- */

static void add_sum(uint32_t sum[2], const char *bytes, size_t n, bool big)
{
    for (size_t i = 0; i + 8 <= n; i += 8) {
        sum[0] += (big ? be32(bytes + i) : le32(bytes + i)) + sum[1];
        sum[1] += (big ? be32(bytes + i + 4) : le32(bytes + i + 4)) + sum[0];
    }
}

struct log {
    const char *bytes;
    size_t page, frames; /* bytes; those up to the last commit */
    uint32_t pages;      /* that the database has by then */
};

/* A frame counts that has the header's salt and the sum of all before it: what is behind is of an earlier round. */
static void find_commits(const struct part *p, struct log *ret)
{
    uint32_t sum[2] = { 0 };
    *ret = (struct log){ .bytes = p->bytes };
    if (p->len < LOG_HEADER || (be32(p->bytes) & ~1u) != LOG_MAGIC)
        return;
    bool big = be32(p->bytes) & 1;
    ret->page = be32(p->bytes + 8);
    add_sum(sum, p->bytes, 24, big);
    if (sum[0] != be32(p->bytes + 24) || sum[1] != be32(p->bytes + 28) || !ret->page || ret->page > 65536)
        return;
    const char *frame = p->bytes + LOG_HEADER, *end = p->bytes + p->len;
    for (size_t n = 1; (size_t)(end - frame) >= FRAME_HEADER + ret->page; n++, frame += FRAME_HEADER + ret->page) {
        add_sum(sum, frame, 8, big);
        add_sum(sum, frame + FRAME_HEADER, ret->page, big);
        if (memcmp(frame + 8, p->bytes + 16, 8) != 0 || sum[0] != be32(frame + 16) || sum[1] != be32(frame + 20))
            return;
        if (!be32(frame + 4))
            continue;
        ret->frames = n;
        ret->pages = be32(frame + 4);
    }
}

static void lay_over(const struct log *log, unsigned char *bytes)
{
    const char *frame = log->bytes + LOG_HEADER;
    for (size_t i = 0; i < log->frames; i++, frame += FRAME_HEADER + log->page) {
        uint32_t number = be32(frame);
        if (number && number <= log->pages)
            memcpy(bytes + (number - 1) * log->page, frame + FRAME_HEADER, log->page);
    }
}

fallible db_look(const char *path, unsigned char **ret_bytes, size_t *ret_len)
{
    own_mem char *log_path = mem_printf("%s-wal", path);
    own(part) struct part file = { 0 }, in_log = { 0 };
    struct log log;
    TRY(read_both(path, log_path, &file, &in_log));
    find_commits(&in_log, &log);
    size_t len = log.frames ? (size_t)log.pages * log.page : file.len;
    if (!len)
        return err_new(ERR_NOT_FOUND, "'%s' is empty", path);
    if (len < HEADER || len > FILE_MAX)
        return err_new(len > FILE_MAX ? ERR_EXHAUSTED : ERR_CORRUPT, "'%s' has %zu bytes", path, len);
    unsigned char *bytes = sqlite3_malloc64(len);
    if (!bytes)
        return err_new(ERR_EXHAUSTED, "no memory for '%s'", path);
    memset(bytes, 0, len);
    memcpy(bytes, file.bytes, file.len < len ? file.len : len);
    lay_over(&log, bytes);
    bytes[18] = bytes[19] = 1; /* the header's word for: there is no such log */
    *ret_bytes = bytes;
    *ret_len = len;
    return NULL;
}
