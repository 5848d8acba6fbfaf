// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "base/mem.h"
#include "codec/tar.h"

/* A source that gives `step` bytes at a time, each piece in memory of its own size, so that ASan sees every overrun. */
struct bytes {
    const char *p;
    size_t n, step;
    unsigned char *piece;
};
static fallible next_bytes(void *ctx, const unsigned char **ret, size_t *ret_n)
{
    struct bytes *b = ctx;
    size_t n = b->n < b->step ? b->n : b->step;
    free(b->piece);
    b->piece = mem_alloc(n + (n == 0));
    memcpy(b->piece, b->p, n);
    b->p += n;
    b->n -= n;
    *ret = b->piece;
    *ret_n = n;
    return NULL;
}

/* The whole archive as lines of text, one for each entry, contents behind it. */
static fallible list(const struct str *archive, size_t step, struct str *out)
{
    struct bytes b = { archive->text, archive->len, step, NULL };
    own(tar) struct tar *t = tar_new((struct tar_source){ next_bytes, &b });
    err *e = NULL;
    const struct tar_entry *entry = NULL;
    while (!(e = tar_next(t, &entry)) && entry) {
        str_printf(out, "%d %s>%s %o %u:%u %llu %lld.%u %u:%u", (int)entry->type, entry->path, entry->link, entry->mode,
                   entry->uid, entry->gid, (unsigned long long)entry->size, (long long)entry->mtime_s, entry->mtime_ns,
                   entry->major, entry->minor);
        for (size_t i = 0; i < entry->xattrs_n; i++)
            str_printf(out, " %s=%.*s", entry->xattrs[i].name, (int)entry->xattrs[i].n,
                       (const char *)entry->xattrs[i].value);
        for (uint64_t at = UINT64_MAX;;) {
            uint64_t offset = 0;
            const unsigned char *p = NULL;
            size_t n = 0;
            e = tar_data(t, &offset, &p, &n);
            if (e || n == 0)
                break;
            if (offset != at)
                str_printf(out, " @%llu:", (unsigned long long)offset);
            str_add_n(out, p, n);
            at = offset + n;
        }
        if (e)
            break;
        str_add(out, "\n");
    }
    if (!e)
        e = tar_drain(t);
    free(b.piece);
    return e;
}

static void lists_as(const struct str *archive, const char *want)
{
    static const size_t steps[] = { 1, 3, 511, 512, 513, 1 << 20 };
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        own_str struct str out = { 0 };
        CHECK_OK(list(archive, steps[i], &out));
        assert_string_equal(out.text ? out.text : "", want);
    }
}

static void add(struct str *archive, const struct tar_entry *e, const char *contents)
{
    tar_write_header(archive, e);
    if (contents) {
        str_add_n(archive, contents, e->size);
        tar_pad(archive, e->size);
    }
}

TEST(what_is_written_reads_back)
{
    own_str struct str a = { 0 };
    char path[301], link[301], block[513], want[4096];
    memset(path, 'p', 300);
    memset(link, 'l', 300);
    memset(block, 'b', 512);
    path[300] = link[300] = block[512] = '\0';
    struct tar_xattr xattrs[] = { { "user.a", "x\ny", 3 }, { "user.b", "", 0 } };
    add(&a, &(struct tar_entry){ .type = TAR_DIR, .path = "d/", .mode = 01755 }, NULL);
    add(&a, &(struct tar_entry){ .path = "d/f", .mode = 04644, .uid = 5, .gid = 6, .size = 5, .mtime_s = 7 }, "hello");
    add(&a,
        &(struct tar_entry){ .path = path, .mtime_s = -3, .mtime_ns = 250000000, .uid = 4000000000u, .gid = 3000000 },
        NULL);
    add(&a, &(struct tar_entry){ .type = TAR_SYMLINK, .path = "s", .link = link, .mtime_s = 1, .mtime_ns = 5 }, NULL);
    add(&a, &(struct tar_entry){ .type = TAR_HARD_LINK, .path = "h", .link = "d/f" }, NULL);
    add(&a, &(struct tar_entry){ .type = TAR_CHAR, .path = "c", .mode = 0600, .major = 5, .minor = 1 }, NULL);
    add(&a, &(struct tar_entry){ .type = TAR_FIFO, .path = "p", .xattrs = xattrs, .xattrs_n = 2 }, NULL);
    add(&a, &(struct tar_entry){ .path = "e", .mtime_s = 1LL << 34, .size = 512 }, block);
    tar_end(&a);
    str_add_n(&a, path, 200); /* rubbish behind the end is passed over */
    snprintf(want, sizeof want,
             "5 d/> 1755 0:0 0 0.0 0:0\n"
             "0 d/f> 4644 5:6 5 7.0 0:0 @0:hello\n"
             "0 %s> 0 4000000000:3000000 0 -3.250000000 0:0\n"
             "2 s>%s 0 0:0 0 1.5 0:0\n"
             "1 h>d/f 0 0:0 0 0.0 0:0\n"
             "3 c> 600 0:0 0 0.0 5:1\n"
             "6 p> 0 0:0 0 0.0 0:0 user.a=x\ny user.b=\n"
             "0 e> 0 0:0 512 17179869184.0 0:0 @0:%s\n",
             path, link, block);
    lists_as(&a, want);
}

/* A header block with fields set by hand, its checksum made right. */
static void raw(struct str *archive, const char *name, char kind, const char *size, void (*change)(unsigned char *b))
{
    unsigned char b[TAR_BLOCK] = { 0 };
    snprintf((char *)b, 100, "%s", name);
    memcpy(b + 100, "0000644", 8);
    memcpy(b + 124, size, strlen(size));
    b[156] = (unsigned char)kind;
    memcpy(b + 257, "ustar  ", 8);
    if (change)
        change(b);
    unsigned sum = 0;
    memset(b + 148, ' ', 8);
    for (size_t i = 0; i < sizeof b; i++)
        sum += b[i];
    snprintf((char *)b + 148, 8, "%06o", sum);
    str_add_n(archive, b, sizeof b);
}

static void meta(struct str *archive, char kind, const char *text, size_t n)
{
    char size[24];
    snprintf(size, sizeof size, "%o", (unsigned)n);
    raw(archive, "meta", kind, size, NULL);
    str_add_n(archive, text, n);
    tar_pad(archive, n);
}
#define META(archive, kind, text) meta(archive, kind, text, sizeof text - 1)

static void meta_text(struct str *archive, const char *text)
{
    meta(archive, 'x', text, strlen(text));
}

/* A PAX header of "key=value" records, separated by '|'. */
static void pax(struct str *archive, const char *records)
{
    own_strv struct strv list = { 0 };
    own_str struct str text = { 0 };
    strv_split(&list, records, '|');
    for (size_t i = 0; i < list.n; i++) {
        size_t body = strlen(list.items[i]) + 2, n = body + 1;
        while (n != body + (size_t)snprintf(NULL, 0, "%zu", n))
            n++;
        str_printf(&text, "%zu %s\n", n, list.items[i]);
    }
    meta(archive, 'x', text.text, text.len);
}

static void size_base256(unsigned char *b)
{
    memset(b + 124, 0, 12);
    b[124] = 0x80;
    b[135] = 3;
    memset(b + 136, 0xff, 12); /* the time: -1 */
    memcpy(b + 108, "\x80\0\0\0\0\x10\0\0", 8);
}
static void ustar_prefix(unsigned char *b)
{
    memcpy(b + 257, "ustar\00000", 8);
    memcpy(b + 345, "some/dir", 8);
}
static void v7(unsigned char *b)
{
    memset(b + 257, 0, 255);
    memcpy(b + 108, "     12 ", 8);
}

TEST(each_dialect_is_understood)
{
    own_str struct str a = { 0 };
    META(&a, 'g', "30 comment=nothing to see here\n");
    raw(&a, "base256", '0', "", size_base256);
    str_add_n(&a, "abc", 3);
    tar_pad(&a, 3);
    raw(&a, "name", '0', "0", ustar_prefix);
    raw(&a, "old/", '\0', "0", v7);
    META(&a, 'K', "long target\0");
    META(&a, 'L', "long name\0");
    raw(&a, "short", '2', "0", NULL);
    pax(&a, "path=p|size=2|mtime=-1.000001|gid=77");
    raw(&a, "short", '0', "7777", NULL);
    str_add(&a, "hi");
    tar_pad(&a, 2);
    pax(&a, "path=");
    raw(&a, "kept", '7', "  1 ", NULL);
    str_add(&a, "x");
    tar_pad(&a, 1);
    raw(&a, "label", 'V', "0", NULL);
    raw(&a, "dump", 'D', "6", NULL); /* GNU's list of names */
    str_add_n(&a, "Ya\0Nb\0", 6);
    tar_pad(&a, 6);
    raw(&a, "last", '1', "777", NULL); /* a link's size is not that of contents */
    lists_as(&a, "0 base256> 644 1048576:0 3 -1.0 0:0 @0:abc\n"
                 "0 some/dir/name> 644 0:0 0 0.0 0:0\n"
                 "5 old/> 644 10:0 0 0.0 0:0\n"
                 "2 long name>long target 644 0:0 0 0.0 0:0\n"
                 "0 p> 644 0:77 2 -2.999999000 0:0 @0:hi\n"
                 "0 kept> 644 0:0 1 0.0 0:0 @0:x\n"
                 "5 dump> 644 0:0 0 0.0 0:0\n"
                 "1 last> 644 0:0 0 0.0 0:0\n");
}

static void old_sparse(unsigned char *b)
{
    memcpy(b + 386, "00000000002\00000000000003\000", 24); /* "2" for 3 */
    memcpy(b + 410, "00000000012\00000000000001\000", 24); /* "10" for 1 */
    memcpy(b + 434, "00000000024\00000000000000\000", 24); /* "20" for 0: the end */
    memcpy(b + 458, "00000000030\00000000000001\000", 24);
    b[482] = 1;
    memcpy(b + 483, "00000000100", 12);
}
static void lone_pair(unsigned char *b)
{
    memcpy(b + 386, "00000000777\00000000000001\000", 24);
    memcpy(b + 483, "00000000100", 12);
}

TEST(sparse_files_of_each_form)
{
    own_str struct str a = { 0 };
    char block[TAR_BLOCK] = { 0 };
    raw(&a, "gnu", 'S', "6", old_sparse);
    memcpy(block, "00000000037\00000000000001\000", 24);
    str_add_n(&a, block, sizeof block);
    str_add(&a, "abcdef");
    tar_pad(&a, 6);
    pax(&a, "GNU.sparse.size=40|GNU.sparse.offset=3|GNU.sparse.numbytes=2|GNU.sparse.offset=9|GNU.sparse.numbytes=1");
    raw(&a, "zero.zero", '0', "3", NULL);
    str_add(&a, "xyz");
    tar_pad(&a, 3);
    pax(&a, "GNU.sparse.size=40|GNU.sparse.map=1,1,5,2,9,0|GNU.sparse.name=name");
    raw(&a, "zero.one", '0', "3", NULL);
    str_add(&a, "xyz");
    tar_pad(&a, 3);
    pax(&a, "GNU.sparse.major=1|GNU.sparse.minor=0|GNU.sparse.realsize=40|GNU.sparse.name=n");
    raw(&a, "one.zero", '0', "1003", NULL);
    own_str struct str map = { 0 };
    str_add(&map, "2\n7\n1\n20\n2\n");
    tar_pad(&map, map.len);
    str_add(&map, "xyz");
    tar_pad(&map, 3);
    str_add_n(&a, map.text, map.len);
    tar_end(&a);
    lists_as(&a, "0 gnu> 644 0:0 64 0.0 0:0 @2:abc @10:d @24:e @31:f\n"
                 "0 zero.zero> 644 0:0 40 0.0 0:0 @3:xy @9:z\n"
                 "0 name> 644 0:0 40 0.0 0:0 @1:x @5:yz\n"
                 "0 n> 644 0:0 40 0.0 0:0 @7:x @20:yz\n");
}

static void bad_magic_sum(unsigned char *b)
{
    b[500] = 1;
}
static void negative_size(unsigned char *b)
{
    memset(b + 124, 0xff, 12);
}
static void huge_size(unsigned char *b)
{
    memset(b + 124, 0x7f, 12);
    b[124] = 0x80;
}
static void letters(unsigned char *b)
{
    memcpy(b + 124, "12x", 4);
}
static void owner_of_all(unsigned char *b)
{
    memcpy(b + 108, "\x80\0\0\0\xff\xff\xff\xff", 8);
}
static void bad_mode(unsigned char *b)
{
    memcpy(b + 100, "rw-r--r", 8);
}

TEST(what_is_wrong_is_said_with_its_place)
{
    static const struct {
        const char *meta; /* a PAX header before it: its text, or records for pax() */
        char kind;
        const char *size;
        void (*change)(unsigned char *b);
        enum err_kind error;
        const char *text;
    } rows[] = {
        { NULL, '0', "9", negative_size, ERR_CORRUPT, "tar: byte 0: the size is no number" },
        { NULL, '0', "9", huge_size, ERR_CORRUPT, "tar: byte 0: the size is no number" },
        { NULL, '0', "9", letters, ERR_CORRUPT, "tar: byte 0: the size is no number" },
        { NULL, '0', "7777777777777", NULL, ERR_CORRUPT, "tar: byte 0: the archive ends in the middle of this entry" },
        { NULL, '0', "0", owner_of_all, ERR_CORRUPT, "tar: byte 0: the uid 4294967295 is out of range" },
        { NULL, '0', "0", bad_mode, ERR_CORRUPT, "tar: byte 0: the mode is no number" },
        { NULL, 'Z', "0", NULL, ERR_INVALID, "tar: byte 0: 'name' is of the unknown kind 0x5a" },
        { NULL, 'x', "77777777", NULL, ERR_CORRUPT,
          "tar: byte 0: an extended header of 16777215 bytes; at most 1048576 are read" },
        { NULL, 'L', "4", NULL, ERR_CORRUPT, "tar: byte 0: the archive ends in the middle of this entry" },
        { "9 path=ab\n", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: a broken PAX record" },
        { "99999999999999999999 path=a\n", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: a broken PAX record" },
        { "0 path=a\n", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: a broken PAX record" },
        { "7 patha\n", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: a broken PAX record" },
        { "10 size=-1\n", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: a broken PAX record" },
        { "size=-1", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: size: '-1' is no number" },
        { "size=9999999999999999999", '0', "0", NULL, ERR_CORRUPT,
          "tar: byte 0: size: '9999999999999999999' is no number" },
        { "uid=4294967295", '0', "0", NULL, ERR_CORRUPT, "tar: byte 1024: the uid 4294967295 is out of range" },
        { "18 mtime=yesterday\n", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: a broken PAX record" },
        { "mtime=yesterday", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: mtime: no time" },
        { "16 SCHILY.xattr.=\n", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: a broken PAX record" },
        { "SCHILY.xattr.=", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: an extended attribute without a name" },
        { "GNU.sparse.major=1", '0', "0", NULL, ERR_CORRUPT, "tar: byte 1024: a sparse file without its size" },
        { "GNU.sparse.major=2|GNU.sparse.size=10", '0', "0", NULL, ERR_UNSUPPORTED,
          "tar: byte 1024: sparse format 2.0" },
        { "GNU.sparse.size=10|GNU.sparse.map=9,2", '0', "0", NULL, ERR_CORRUPT,
          "tar: byte 1024: a sparse map that does not fit its file" },
        { "GNU.sparse.size=10|GNU.sparse.map=5,1,3,1", '0', "0", NULL, ERR_CORRUPT,
          "tar: byte 1024: a sparse map that does not fit its file" },
        { "GNU.sparse.size=10|GNU.sparse.map=1,1", '0', "0", NULL, ERR_CORRUPT,
          "tar: byte 1024: a sparse map that does not fit its contents" },
        { "GNU.sparse.map=1,", '0', "0", NULL, ERR_CORRUPT, "tar: byte 0: a broken GNU.sparse.map" },
        { NULL, 'S', "1", lone_pair, ERR_CORRUPT, "tar: byte 0: a sparse map that does not fit its file" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_str struct str a = { 0 }, out = { 0 };
        if (rows[i].meta)
            (rows[i].meta[0] <= '9' ? meta_text : pax)(&a, rows[i].meta);
        raw(&a, "name", rows[i].kind, rows[i].size, rows[i].change);
        own(err) err *e = list(&a, 512, &out);
        assert_string_equal(err_text(e), rows[i].text);
        CHECK(err_is(e, rows[i].error));
    }
}

TEST(a_wrong_checksum_or_a_cut_is_corrupt)
{
    own_str struct str a = { 0 }, out = { 0 };
    raw(&a, "one", '0', "0", NULL);
    raw(&a, "two", '0', "0", NULL);
    bad_magic_sum((unsigned char *)a.text + TAR_BLOCK);
    CHECK_SAYS(list(&a, 512, &out), "tar: byte 512: no tar header (its checksum is wrong)");
    str_free(&a);
    raw(&a, "one", '0', "2000", NULL); /* 1024 bytes */
    for (int i = 0; i < 1024; i++)
        str_add_char(&a, 'x');
    for (size_t cut = 1; cut < a.len; cut += 211) {
        own_str struct str less = { 0 }, ignored = { 0 };
        str_add_n(&less, a.text, a.len - cut);
        CHECK_ERR(list(&less, 100, &ignored), ERR_CORRUPT);
    }
    str_free(&a);
    pax(&a, "path=p");
    CHECK_SAYS(list(&a, 512, &out), "tar: byte 1024: the archive ends after an extended header");
}

TEST(the_last_padding_may_be_missing)
{
    own_str struct str a = { 0 };
    raw(&a, "one", '0', "3", NULL);
    str_add(&a, "abc");
    lists_as(&a, "0 one> 644 0:0 3 0.0 0:0 @0:abc\n");
    str_add(&a, "   ");
    lists_as(&a, "0 one> 644 0:0 3 0.0 0:0 @0:abc\n");
}

TEST(names_are_bounded)
{
    own_str struct str a = { 0 }, out = { 0 };
    own_mem char *name = mem_alloc(4097);
    memset(name, 'n', 4096);
    name[4096] = '\0';
    meta(&a, 'L', name, 4096);
    raw(&a, "x", '0', "0", NULL);
    CHECK_SAYS(list(&a, 512, &out), "tar: byte 4608: a name longer than 4095 bytes");
    str_free(&a);
    META(&a, 'x', "12 path=a\0b\n");
    raw(&a, "x", '0', "0", NULL);
    CHECK_SAYS(list(&a, 512, &out), "tar: byte 0: a name with a NUL in it");
    str_free(&a);
    raw(&a, "", '0', "0", NULL);
    CHECK_SAYS(list(&a, 512, &out), "tar: byte 0: an entry without a name");
}

TEST(paths_are_cleaned_and_never_lead_out)
{
    static const struct {
        const char *path, *clean; /* NULL: leads out */
    } rows[] = {
        { "a/b", "a/b" },
        { "/a//b/", "a/b" },
        { "./a/./b/.", "a/b" },
        { "a/../b", "b" },
        { "a/b/../../c", "c" },
        { "", "" },
        { "/", "" },
        { "a/..", "" },
        { "..", NULL },
        { "/..", NULL },
        { "a/../../b", NULL },
        { "...", "..." },
        { "a/..b/c..", "a/..b/c.." },
        { "./../x", NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[64];
        bool ok = tar_clean_path(rows[i].path, out);
        CHECK(ok == (rows[i].clean != NULL));
        if (ok)
            assert_string_equal(out, rows[i].clean);
    }
}
