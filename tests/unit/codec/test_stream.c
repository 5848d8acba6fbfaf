// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <archive.h>
#include <archive_entry.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/stream.h"
#include "os/fs.h"

/* A source that gives `step` bytes at a time: what is split anywhere must read the same. */
struct bytes {
    const unsigned char *p;
    size_t n, step;
};
static fallible read_bytes(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct bytes *b = ctx;
    size_t n = b->n < max ? b->n : max;
    n = n < b->step ? n : b->step;
    memcpy(buf, b->p, n);
    b->p += n;
    b->n -= n;
    *ret_n = n;
    return NULL;
}

/* Some that packs well, some that does not. */
static void fill(unsigned char *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (i >> 10) & 1 ? (unsigned char)(seed >> 24) : (unsigned char)("husk"[i % 4]);
    }
}

static void add_gzip(struct str *out, const void *bytes, size_t n)
{
    struct isal_zstream z;
    size_t room = n + n / 8 + 4096;
    own_mem unsigned char *buf = mem_alloc(room);
    isal_deflate_stateless_init(&z);
    z.gzip_flag = IGZIP_GZIP;
    z.next_in = (unsigned char *)bytes;
    z.avail_in = (uint32_t)n;
    z.end_of_stream = 1;
    z.next_out = buf;
    z.avail_out = (uint32_t)room;
    CHECK(isal_deflate_stateless(&z) == COMP_OK);
    str_add_n(out, buf, z.total_out);
}

static void add_zstd(struct str *out, const void *bytes, size_t n)
{
    size_t room = ZSTD_compressBound(n);
    own_mem void *buf = mem_alloc(room);
    size_t got = ZSTD_compress(buf, room, bytes, n, 3);
    CHECK(!ZSTD_isError(got));
    str_add_n(out, buf, got);
}

static void add_filtered(struct str *out, const void *bytes, size_t n, int (*filter)(struct archive *))
{
    size_t room = n * 2 + (1 << 20), used = 0;
    own_mem void *buf = mem_alloc(room);
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    CHECK(filter(a) == ARCHIVE_OK);
    archive_write_set_format_raw(a);
    archive_write_set_bytes_in_last_block(a, 1);
    CHECK(archive_write_open_memory(a, buf, room, &used) == ARCHIVE_OK);
    archive_entry_set_filetype(e, 0100000);
    CHECK(archive_write_header(a, e) == ARCHIVE_OK);
    CHECK(archive_write_data(a, bytes, n) == (la_ssize_t)n);
    archive_write_close(a);
    archive_write_free(a);
    archive_entry_free(e);
    str_add_n(out, buf, used);
}

static fallible unpack(const void *packed, size_t n, size_t step, size_t read_size, uint64_t limit, struct str *out)
{
    struct bytes b = { packed, n, step };
    own(stream) struct stream *s = NULL;
    TRY(stream_open((struct stream_source){ read_bytes, &b }, limit, &s));
    own_mem unsigned char *buf = mem_alloc(read_size);
    for (;;) {
        size_t got = 0;
        TRY(stream_read(s, buf, read_size, &got));
        if (got == 0)
            break;
        str_add_n(out, buf, got);
    }
    CHECK(stream_bytes_out(s) == out->len);
    return NULL;
}

enum { SIZE = 300000 };

static void reads_back(const struct str *packed, const void *bytes, size_t n)
{
    static const size_t steps[] = { 1, 7, 4096, 1 << 20 }, reads[] = { 1, 511, 65536, 1 << 20 };
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        for (size_t j = 0; j < ARRAY_SIZE(reads); j++) {
            own_str struct str out = { 0 };
            CHECK_OK(unpack(packed->text, packed->len, steps[i], reads[j], 0, &out));
            assert_int_equal(out.len, n);
            CHECK(n == 0 || memcmp(out.text, bytes, n) == 0);
        }
}

TEST(each_form_reads_back_however_it_is_split)
{
    own_mem unsigned char *bytes = mem_alloc(SIZE);
    fill(bytes, SIZE, 1);
    own_str struct str plain = { 0 }, gzip = { 0 }, zstd = { 0 }, xz = { 0 }, bzip2 = { 0 };
    str_add_n(&plain, bytes, SIZE);
    add_gzip(&gzip, bytes, SIZE);
    add_zstd(&zstd, bytes, SIZE);
    add_filtered(&xz, bytes, SIZE, archive_write_add_filter_xz);
    add_filtered(&bzip2, bytes, SIZE, archive_write_add_filter_bzip2);
    reads_back(&plain, bytes, SIZE);
    reads_back(&gzip, bytes, SIZE);
    reads_back(&zstd, bytes, SIZE);
    reads_back(&xz, bytes, SIZE);
    reads_back(&bzip2, bytes, SIZE);
}

TEST(members_in_a_row_are_one_stream)
{
    own_mem unsigned char *bytes = mem_alloc(SIZE);
    fill(bytes, SIZE, 2);
    own_str struct str gzip = { 0 }, zstd = { 0 };
    size_t cuts[] = { 0, 0, 1, 2, 1000, 65536, 200000, SIZE };
    for (size_t i = 0; i + 1 < ARRAY_SIZE(cuts); i++) {
        add_gzip(&gzip, bytes + cuts[i], cuts[i + 1] - cuts[i]);
        add_zstd(&zstd, bytes + cuts[i], cuts[i + 1] - cuts[i]);
    }
    reads_back(&gzip, bytes, SIZE);
    reads_back(&zstd, bytes, SIZE);
    /* zero padding behind is what tape tools leave */
    for (int i = 0; i < 1000; i++)
        str_add_char(&gzip, '\0');
    reads_back(&gzip, bytes, SIZE);
    /* a frame to skip, before and behind: zstd:chunked and pzstd write them */
    own_str struct str skip = { 0 };
    str_add_n(&skip, "\x5e\x2a\x4d\x18\x03\0\0\0abc", 11);
    str_add_n(&skip, zstd.text, zstd.len);
    str_add_n(&skip, "\x50\x2a\x4d\x18\x01\0\0\0z", 9);
    reads_back(&skip, bytes, SIZE);
}

/* Of 4 MiB that come again and again, each reference as far back as it can be. */
static void add_long(struct str *out, unsigned char *bytes, size_t piece, size_t times, int window_log)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(piece * times);
    own_mem unsigned char *buf = mem_alloc(room);
    for (size_t i = 0; i < piece; i++)
        bytes[i] = (unsigned char)((i * 2654435761u) >> 13 ^ (i >> 5) * 40503u >> 3);
    for (size_t i = 1; i < times; i++)
        memcpy(bytes + i * piece, bytes, piece);
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, window_log)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_enableLongDistanceMatching, 1)));
    CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 0)));
    ZSTD_inBuffer in = { bytes, piece * times, 0 };
    ZSTD_outBuffer packed = { buf, room, 0 };
    CHECK(ZSTD_compressStream2(zstd, &packed, &in, ZSTD_e_continue) == 0 || in.pos == in.size);
    CHECK(ZSTD_compressStream2(zstd, &packed, &in, ZSTD_e_end) == 0);
    str_add_n(out, buf, packed.pos);
    ZSTD_freeCCtx(zstd);
}

TEST(a_long_window_is_in_a_file)
{
    enum { PIECE = 4 << 20, TIMES = 6, READ = 256 << 10 };
    own_mem unsigned char *bytes = mem_alloc((size_t)PIECE * TIMES), *buf = mem_alloc(READ);
    own_str struct str packed = { 0 };
    own_fd int dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    add_long(&packed, bytes, PIECE, TIMES, 25);
    struct bytes b = { (unsigned char *)packed.text, packed.len, 1 << 20 };
    own(stream) struct stream *s = NULL;
    CHECK_OK(stream_open((struct stream_source){ read_bytes, &b }, 0, &s));
    stream_spill(s, dir);
    for (size_t at = 0; at < (size_t)PIECE * TIMES; at += READ) {
        size_t got = 0;
        CHECK_OK(stream_read(s, buf, READ, &got));
        assert_int_equal(got, READ);
        CHECK(memcmp(buf, bytes + at, READ) == 0);
        own_mem char *maps = NULL;
        CHECK_OK(fs_read_at(AT_FDCWD, "/proc/self/maps", 1 << 20, &maps, NULL));
        CHECK(strstr(maps, "(deleted)"));
    }
    for (int i = 0; i < 2; i++) {
        size_t got = 1;
        CHECK_OK(stream_read(s, buf, READ, &got));
        assert_int_equal(got, 0);
    }
    CHECK_SAYS(unpack("\x28\xb5\x2f\xfd\0\x98\0\0\0", 9, 100, 100, 0, &packed),
               "zstd: it looks back over more than 128 MiB: pack it without --long=28 or more");
}

TEST(nothing_reads_as_nothing)
{
    own_str struct str empty = { 0 }, gzip = { 0 }, zstd = { 0 };
    str_add(&empty, "");
    add_gzip(&gzip, "", 0);
    add_zstd(&zstd, "", 0);
    reads_back(&empty, "", 0);
    reads_back(&gzip, "", 0);
    reads_back(&zstd, "", 0);
}

TEST(more_than_the_limit_stops)
{
    own_mem unsigned char *zeros = mem_zalloc(SIZE);
    struct str packed[5] = { 0 };
    str_add_n(&packed[0], zeros, SIZE);
    add_gzip(&packed[1], zeros, SIZE);
    add_zstd(&packed[2], zeros, SIZE);
    add_filtered(&packed[3], zeros, SIZE, archive_write_add_filter_xz);
    add_filtered(&packed[4], zeros, SIZE, archive_write_add_filter_bzip2);
    for (size_t i = 0; i < ARRAY_SIZE(packed); i++) {
        own_str struct str all = { 0 }, less = { 0 };
        CHECK_OK(unpack(packed[i].text, packed[i].len, 4096, 1000, SIZE, &all));
        assert_int_equal(all.len, SIZE);
        CHECK_SAYS(unpack(packed[i].text, packed[i].len, 4096, 1000, SIZE - 1, &less),
                   "more than 299999 bytes come out of it");
        CHECK(less.len < SIZE);
    }
    for (size_t i = 0; i < ARRAY_SIZE(packed); i++)
        str_free(&packed[i]);
}

TEST(an_end_in_the_middle_is_corrupt)
{
    own_mem unsigned char *bytes = mem_alloc(SIZE);
    fill(bytes, SIZE, 3);
    own_str struct str gzip = { 0 }, zstd = { 0 }, xz = { 0 }, bzip2 = { 0 };
    add_gzip(&gzip, bytes, SIZE);
    add_zstd(&zstd, bytes, SIZE);
    add_filtered(&xz, bytes, SIZE, archive_write_add_filter_xz);
    add_filtered(&bzip2, bytes, SIZE, archive_write_add_filter_bzip2);
    const struct str *all[] = { &gzip, &zstd, &xz, &bzip2 };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        for (size_t cut = 1; cut < all[i]->len - 20; cut += cut < 40 ? 1 : 9973) {
            own_str struct str out = { 0 };
            CHECK_ERR(unpack(all[i]->text, all[i]->len - cut, 4096, 65536, 0, &out), ERR_CORRUPT);
        }
}

TEST(changed_bytes_are_corrupt)
{
    own_mem unsigned char *bytes = mem_alloc(SIZE);
    fill(bytes, SIZE, 4);
    own_str struct str gzip = { 0 };
    add_gzip(&gzip, bytes, SIZE);
    for (size_t at = 100; at < gzip.len; at += 9973) {
        own_str struct str out = { 0 };
        gzip.text[at] ^= 0x10;
        CHECK_ERR(unpack(gzip.text, gzip.len, 4096, 65536, 0, &out), ERR_CORRUPT);
        gzip.text[at] ^= 0x10;
    }
    own_str struct str out = { 0 };
    str_add(&gzip, "x");
    CHECK_ERR(unpack(gzip.text, gzip.len, 4096, 65536, 0, &out), ERR_CORRUPT);
}

static fallible add_packed(void *ctx, const void *packed, size_t n)
{
    str_add_n(ctx, packed, n);
    return NULL;
}

TEST(what_the_packer_packs_reads_back)
{
    own_mem unsigned char *bytes = mem_alloc(SIZE);
    fill(bytes, SIZE, 5);
    own_str struct str packed = { 0 };
    own(packer) struct packer *p = NULL;
    CHECK_OK(packer_new(STREAM_ZSTD, 1, add_packed, &packed, &p));
    CHECK_OK(packer_add(p, bytes, 1));
    CHECK_OK(packer_add(p, bytes + 1, SIZE - 1));
    CHECK_OK(packer_end(p));
    CHECK(packed.len < SIZE);
    reads_back(&packed, bytes, SIZE);
}

/* However the bytes arrive, the same comes out. */
TEST(gzip_packs_the_same_bytes_in_any_pieces)
{
    own_mem unsigned char *bytes = mem_alloc(SIZE);
    own_str struct str whole = { 0 }, pieces = { 0 }, nothing = { 0 };
    fill(bytes, SIZE, 5);
    for (int level = 1; level <= 3; level++) {
        own(packer) struct packer *p = NULL, *q = NULL;
        whole.len = pieces.len = 0;
        CHECK_OK(packer_new(STREAM_GZIP, level, add_packed, &whole, &p));
        CHECK_OK(packer_add(p, bytes, SIZE));
        CHECK_OK(packer_end(p));
        CHECK_OK(packer_new(STREAM_GZIP, level, add_packed, &pieces, &q));
        for (size_t at = 0, n = 1; at < SIZE; at += n, n = n * 3 % 300000)
            CHECK_OK(packer_add(q, bytes + at, at + n > SIZE ? SIZE - at : n));
        CHECK_OK(packer_end(q));
        CHECK(whole.len < SIZE && whole.len == pieces.len && memcmp(whole.text, pieces.text, whole.len) == 0);
        reads_back(&whole, bytes, SIZE);
    }
    own(packer) struct packer *p = NULL;
    CHECK_OK(packer_new(STREAM_GZIP, 0, add_packed, &nothing, &p));
    CHECK_OK(packer_end(p));
    reads_back(&nothing, bytes, 0);
}
