/*
 * husk-pack DIR FIRST: packs the rotated files of a container's log, from the number FIRST on (log_packed.h).
 * husk-pack unpack: standard input, unpacked, to standard output.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/own.h"
#include "monitor/log_packed.h"

enum { BLOCK = 65536, GZIP = 16, GAP_MAX = 1000 };
#define TEMPORARY "log.json.pack"

static fallible write_all(int fd, const unsigned char *bytes, size_t n)
{
    while (n) {
        ssize_t r = write(fd, bytes, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return err_sys(r < 0 ? errno : ENOSPC, "write");
        bytes += r;
        n -= (size_t)r;
    }
    return NULL;
}

static fallible deflate_all(int from, int to, z_stream *z)
{
    static unsigned char in[BLOCK], out[BLOCK];
    for (int code = Z_OK; code != Z_STREAM_END;) {
        ssize_t n = z->avail_in ? 1 : read(from, in, sizeof in);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read");
        if (!z->avail_in) {
            z->next_in = in;
            z->avail_in = (uInt)n;
        }
        z->next_out = out;
        z->avail_out = sizeof out;
        code = deflate(z, n == 0 ? Z_FINISH : Z_NO_FLUSH);
        TRY(write_all(to, out, sizeof out - z->avail_out));
    }
    return NULL;
}

static fallible pack_into(int from, int to)
{
    char comment[32];
    gz_header header = { .comment = (Bytef *)comment, .os = 3 };
    z_stream z = { 0 };
    (void)snprintf(comment, sizeof comment, "husk %016" PRIx64, log_head(from));
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_new(ERR_EXHAUSTED, "begin to pack");
    (void)deflateSetHeader(&z, &header);
    err *e = deflate_all(from, to, &z);
    (void)deflateEnd(&z);
    TRY(e);
    /* The original goes when this has its name: it has to be on the disk by then. */
    return fsync(to) == 0 ? NULL : err_sys(errno, "sync");
}

/* The number that the file has by now; 0: it was rotated away. */
static int64_t number_of(int dir_fd, ino_t inode)
{
    char name[LOG_NAME_MAX];
    struct stat st;
    for (int64_t i = 1; i <= GAP_MAX; i++)
        if (fstatat(dir_fd, log_name(name, i, false), &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == inode)
            return i;
    return 0;
}

static fallible put_in_place(int dir_fd, int packed, const struct stat *original)
{
    char name[LOG_NAME_MAX], path[32];
    const struct timespec times[] = { original->st_atim, original->st_mtim }; /* max-age asks for it */
    own_fd int lock = log_lock(dir_fd);
    int64_t number = number_of(dir_fd, original->st_ino);
    if (lock < 0 || !number)
        return NULL;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", packed);
    (void)unlinkat(dir_fd, TEMPORARY, 0);
    if (futimens(packed, times) < 0 || linkat(AT_FDCWD, path, dir_fd, TEMPORARY, AT_SYMLINK_FOLLOW) < 0 ||
        renameat(dir_fd, TEMPORARY, dir_fd, log_name(name, number, true)) < 0)
        return err_sys(errno, "name the packed file");
    (void)unlinkat(dir_fd, log_name(name, number, false), 0);
    return NULL;
}

static fallible pack_one(int dir_fd, const char *name)
{
    struct stat st;
    own_fd int from = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0 && errno == ENOENT)
        return NULL;
    if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
        return err_sys(from < 0 ? errno : EINVAL, "open '%s'", name);
    own_fd int to = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (to < 0)
        return err_sys(errno, "make a file");
    TRY(pack_into(from, to));
    return put_in_place(dir_fd, to, &st);
}

/* Numbers may grow while we work: what gets behind us is packed after the next rotation. */
static fallible pack_all(const char *dir, const char *first)
{
    char name[LOG_NAME_MAX];
    own_fd int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return err_sys(errno, "open '%s'", dir);
    for (int64_t i = GAP_MAX; i >= strtoll(first, NULL, 10); i--)
        TRY(pack_one(dir_fd, log_name(name, i, false)));
    return NULL;
}

static fallible unpack(void)
{
    static unsigned char in[BLOCK], out[BLOCK];
    z_stream z = { 0 };
    int code = inflateInit2(&z, MAX_WBITS + GZIP);
    while (code == Z_OK) {
        ssize_t n = z.avail_in ? 1 : read(STDIN_FILENO, in, sizeof in);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (!z.avail_in) {
            z.next_in = in;
            z.avail_in = (uInt)n;
        }
        z.next_out = out;
        z.avail_out = sizeof out;
        code = inflate(&z, Z_NO_FLUSH);
        if (code == Z_OK || code == Z_STREAM_END)
            TRY(write_all(STDOUT_FILENO, out, sizeof out - z.avail_out));
    }
    (void)inflateEnd(&z);
    return code == Z_STREAM_END ? NULL : err_new(ERR_CORRUPT, "it is not packed, or not to its end");
}

int main(int argc, char **argv)
{
    const struct sched_param idle = { 0 };
    err *e = NULL;
    if (argc == 2 && strcmp(argv[1], "unpack") == 0) {
        e = unpack();
    } else if (argc == 3 && argv[1][0] == '/') {
        /* Packing has time; the program that writes the log has not. */
        (void)sched_setscheduler(0, SCHED_BATCH, &idle);
        (void)setpriority(PRIO_PROCESS, 0, 10);
        e = pack_all(argv[1], argv[2]);
    } else {
        e = err_new(ERR_INVALID, "usage: husk-pack DIR FIRST, or husk-pack unpack; --log-opt compress=true has it run");
    }
    if (!e)
        return 0;
    (void)fprintf(stderr, "husk-pack: %s\n", err_text(e));
    err_free(e);
    return 1;
}
