// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/direct.h"

enum { PIECE = 64 << 10, PIECES = 5, TAIL = 4096 + 99 };

static const char *const folders[] = { "/var/tmp", "/dev/shm", "/tmp" };

static int make_file(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) { /* overlayfs of old kernels has no nameless files */
        own_mem char *path = mem_printf("%s/husk-direct-XXXXXX", folder);
        fd = mkostemp(path, O_CLOEXEC);
        (void)unlink(path);
    }
    CHECK(fd >= 0);
    return fd;
}

static void check_bytes(int fd, const unsigned char *bytes, size_t n)
{
    struct stat st;
    own_mem unsigned char *got = mem_alloc(n);
    CHECK(fstat(fd, &st) == 0 && st.st_size == (off_t)(DIRECT_ALIGN + n));
    CHECK(pread(fd, got, n, DIRECT_ALIGN) == (ssize_t)n);
    assert_memory_equal(got, bytes, n);
}

/* Several file systems, of which some have no O_DIRECT; pieces of which the last ones are no multiple of a block. */
TEST(what_is_written_directly_is_in_the_file_whatever_the_file_system_and_the_end)
{
    enum { BYTES = PIECES * PIECE + 2 * TAIL };
    own_mem unsigned char *bytes =
        aligned_alloc(DIRECT_ALIGN, (BYTES + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    for (size_t k = 0; k < ARRAY_SIZE(folders); k++) {
        own_fd int fd = make_file(folders[k]);
        struct direct d;
        struct iovec pieces[PIECES + 1], last = { bytes + PIECES * PIECE + TAIL, TAIL };
        for (size_t i = 0; i <= PIECES; i++)
            pieces[i] = (struct iovec){ bytes + i * PIECE, i < PIECES ? PIECE : TAIL };
        direct_begin(&d, fd, DIRECT_ALIGN, 0);
        CHECK_OK(direct_write(&d, pieces, 2, "it"));
        CHECK_OK(direct_write(&d, pieces + 2, PIECES - 1, "it"));
        CHECK_OK(direct_write(&d, &last, 1, "it"));
        CHECK(!d.past_cache); /* the end was no whole block */
        direct_end(&d);
        CHECK(!(fcntl(fd, F_GETFL) & O_DIRECT));
        check_bytes(fd, bytes, BYTES);
    }
}

TEST(an_end_of_whole_blocks_leaves_an_ordinary_descriptor_too)
{
    own_mem unsigned char *bytes = aligned_alloc(DIRECT_ALIGN, PIECE);
    memset(bytes, 'x', PIECE);
    for (size_t k = 0; k < ARRAY_SIZE(folders); k++) {
        own_fd int fd = make_file(folders[k]);
        struct direct d;
        struct iovec piece = { bytes, PIECE };
        direct_begin(&d, fd, DIRECT_ALIGN, 0);
        CHECK_OK(direct_write(&d, &piece, 1, "it"));
        direct_end(&d);
        CHECK(!(fcntl(fd, F_GETFL) & O_DIRECT));
        CHECK(pwrite(fd, "y", 1, 3) == 1); /* of no block's length */
        check_bytes(fd, bytes, PIECE);
    }
}

TEST(what_is_small_goes_through_the_cache_and_what_is_large_only_at_its_begin)
{
    own_mem unsigned char *bytes = aligned_alloc(DIRECT_ALIGN, PIECES * PIECE);
    for (size_t i = 0; i < PIECES * PIECE; i++)
        bytes[i] = (unsigned char)(i * 11 + i / 253);
    for (size_t k = 0; k < ARRAY_SIZE(folders); k++) {
        own_fd int fd = make_file(folders[k]);
        struct direct d;
        direct_begin(&d, fd, DIRECT_ALIGN, 2 * PIECE);
        for (size_t i = 0; i < PIECES; i++) {
            struct iovec piece = { bytes + i * PIECE, PIECE };
            CHECK_OK(direct_write(&d, &piece, 1, "it"));
            CHECK(i >= 2 || !d.past_cache);
        }
        direct_end(&d);
        CHECK(!(fcntl(fd, F_GETFL) & O_DIRECT));
        check_bytes(fd, bytes, PIECES * PIECE);
    }
}

TEST(a_disk_that_is_full_is_an_error)
{
    own_mem unsigned char *bytes = aligned_alloc(DIRECT_ALIGN, PIECE);
    own_fd int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct iovec piece = { bytes, PIECE };
    struct direct d;
    memset(bytes, 'x', PIECE);
    CHECK(fd >= 0);
    direct_begin(&d, fd, 0, 0);
    CHECK_SAYS(direct_write(&d, &piece, 1, "it"), "write 'it': No space left on device");
}
