// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/tarsplit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/bind.h"
#include "codec/tar.h"
#include "os/root.h"

/* A line holds what is between two files: many headers of empty ones. docker's longest seen was 1.1 MB. */
enum { LINE_MAX_BYTES = 16 << 20, CHUNK = 64 << 10 };
#define RECORD_MAX (4ULL << 30)

enum entry_type { ENTRY_FILE = 1, ENTRY_SEGMENT = 2 };

struct entry {
    int64_t type, size, position;
    char *name, *name_raw, *payload;
};
#define T struct entry
static const struct bind_field entry_fields[] = {
    BIND_I64(T, type, "type", .flags = BIND_REQUIRED),
    BIND_I64(T, size, "size"),
    BIND_I64(T, position, "position"),
    BIND_STR(T, name, "name"),
    BIND_STR(T, name_raw, "name_raw"),
    BIND_STR(T, payload, "payload"),
    BIND_END,
};
#undef T
static const struct bind_type entry_type = { "tar-split entry", sizeof(struct entry), entry_fields, false };
static void entry_free(struct entry *e)
{
    bind_free(&entry_type, e);
}
OWN_TYPE(entry, struct entry *, entry_free)

struct tarsplit {
    int files_fd;
    int record_fd;
    struct stream *record;
    char chunk[CHUNK];
    size_t at, n; /* in chunk */
    struct str line;
    unsigned char *segment; /* what is to be given next */
    size_t segment_at, segment_n;
    int fd;         /* or a file, */
    int64_t left;   /* of which so much is to come */
    char *name;     /* of it */
    uint64_t lines; /* so far, for messages */
};

fallible tarsplit_open(int record_fd, int files_fd, struct tarsplit **ret)
{
    own(tarsplit) struct tarsplit *t = mem_zalloc(sizeof *t);
    t->fd = -1;
    t->record_fd = record_fd;
    t->files_fd = files_fd;
    TRY(stream_open(stream_source_fd(&t->record_fd), RECORD_MAX, &t->record));
    *ret = take(t);
    return NULL;
}

void tarsplit_free(struct tarsplit *t)
{
    if (!t)
        return;
    stream_free(t->record);
    str_free(&t->line);
    free(t->segment);
    free(t->name);
    close_now(&t->fd);
    free(t);
}

/* *ret_end: there is none. */
static fallible next_line(struct tarsplit *t, bool *ret_end)
{
    t->line.len = 0;
    *ret_end = false;
    for (;;) {
        if (t->at == t->n) {
            t->at = 0;
            TRY(stream_read(t->record, t->chunk, sizeof t->chunk, &t->n));
            if (!t->n) {
                *ret_end = t->line.len == 0;
                return NULL;
            }
        }
        const char *end = memchr(t->chunk + t->at, '\n', t->n - t->at);
        size_t n = end ? (size_t)(end - (t->chunk + t->at)) : t->n - t->at;
        if (t->line.len + n > LINE_MAX_BYTES)
            return err_new(ERR_EXHAUSTED, "line %llu has more than %d bytes", (unsigned long long)t->lines + 1,
                           LINE_MAX_BYTES);
        str_add_n(&t->line, t->chunk + t->at, n);
        t->at += n + (end != NULL);
        if (end)
            return NULL;
    }
}

static int digit_of(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = memchr(alphabet, c, 64);
    return at ? (int)(at - alphabet) : -1;
}

static fallible decode(const char *text, unsigned char **ret, size_t *ret_n)
{
    size_t len = strlen(text), n = 0;
    own_mem unsigned char *bytes = mem_alloc(len + 1);
    uint32_t group = 0;
    int bits = 0;
    while (len && text[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return err_new(ERR_CORRUPT, "its payload is no base64");
        group = group << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[n++] = (unsigned char)(group >> bits & 255);
        }
    }
    bytes[n] = 0;
    *ret = take(bytes);
    *ret_n = n;
    return NULL;
}

static fallible begin_segment(struct tarsplit *t, const struct entry *e)
{
    free(take(t->segment));
    t->segment_at = t->segment_n = 0;
    return e->payload ? decode(e->payload, &t->segment, &t->segment_n) : NULL;
}

static fallible name_of(const struct entry *e, char **ret)
{
    unsigned char *raw = NULL;
    size_t n = 0;
    if (!e->name_raw) {
        *ret = mem_strdup(e->name);
        return NULL;
    }
    TRY(decode(e->name_raw, &raw, &n));
    *ret = (char *)raw;
    return strlen(*ret) == n ? NULL : err_new(ERR_CORRUPT, "a name with a NUL");
}

/* Below the layer's folder, through no link: the archive's own links are not where its files are. */
static fallible begin_file(struct tarsplit *t, const struct entry *e)
{
    struct stat st;
    char clean[TAR_NAME_MAX + 1];
    if (e->size < 0)
        return err_new(ERR_CORRUPT, "a file of %lld bytes", (long long)e->size);
    if (e->size == 0)
        return NULL;
    free(take(t->name));
    TRY(name_of(e, &t->name));
    if (!t->name || strlen(t->name) > TAR_NAME_MAX || !tar_clean_path(t->name, clean) || !*clean)
        return err_new(ERR_CORRUPT, "'%.200s' is no name of a file", t->name ? t->name : "");
    TRY(root_open(t->files_fd, clean, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, &t->fd));
    if (fstat(t->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != e->size) {
        close_now(&t->fd);
        return err_new(ERR_CORRUPT, "'%.200s' is not the file of %lld bytes that it was", t->name, (long long)e->size);
    }
    t->left = e->size;
    return NULL;
}

static fallible next_entry(struct tarsplit *t, bool *ret_end)
{
    own(entry) struct entry *e = NULL;
    do {
        TRY(next_line(t, ret_end));
        if (*ret_end)
            return NULL;
        t->lines++;
    } while (!t->line.len);
    err *bad = bind_read(&entry_type, t->line.text, t->line.len, (void **)&e);
    if (!bad && e->type == ENTRY_SEGMENT)
        bad = begin_segment(t, e);
    else if (!bad && e->type == ENTRY_FILE)
        bad = begin_file(t, e);
    else if (!bad)
        bad = err_new(ERR_CORRUPT, "an entry of the unknown kind %lld", (long long)e->type);
    return bad ? err_wrap(bad, "tar-split entry %llu", (unsigned long long)t->lines) : NULL;
}

static fallible read_file(struct tarsplit *t, void *buf, size_t max, size_t *ret_n)
{
    ssize_t n;
    do
        n = read(t->fd, buf, (int64_t)max < t->left ? max : (size_t)t->left);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(errno, "read '%.200s'", t->name);
    if (n == 0)
        return err_new(ERR_CORRUPT, "'%.200s' became shorter", t->name);
    t->left -= n;
    if (!t->left)
        close_now(&t->fd);
    *ret_n = (size_t)n;
    return NULL;
}

static err *read_some(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct tarsplit *t = ctx;
    for (;;) {
        bool end = false;
        if (t->fd >= 0)
            return read_file(t, buf, max, ret_n);
        if (t->segment_at < t->segment_n) {
            *ret_n = t->segment_n - t->segment_at < max ? t->segment_n - t->segment_at : max;
            memcpy(buf, t->segment + t->segment_at, *ret_n);
            t->segment_at += *ret_n;
            return NULL;
        }
        TRY(next_entry(t, &end));
        if (end) {
            *ret_n = 0;
            return NULL;
        }
    }
}

struct stream_source tarsplit_source(struct tarsplit *t)
{
    return (struct stream_source){ read_some, t };
}
