/*
 * image_floor: what a layer must cost, without an engine around it.
 *
 *   image_floor BLOB DIR     the packed bytes are hashed, unpacked by ISA-L, hashed again, and made into files below
 *                            the new directory DIR: regular files, directories, links, with owner, mode and time
 *
 * One thread, no checks, no staging, no copy of the blob, no sync: a bound, not a product. It knows ustar and GNU's
 * long names, which is what `tar` writes of a system's files.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 512, PIECE = 256 << 10, NAME_MAX_BYTES = 8192, DIRS_MAX = 65536 };

/* a program that only measures may have globals */
static char long_name[NAME_MAX_BYTES], long_link[NAME_MAX_BYTES], open_dir[NAME_MAX_BYTES];
static struct dir_time {
    char *name;
    struct timespec times[2];
} dirs[DIRS_MAX];
static size_t dirs_n;
static int root_fd, dir_fd = -1, file_fd = -1;
static struct timespec file_times[2];
static unsigned char header[BLOCK];
static size_t header_n, text_n;
static uint64_t left, pad;
static char *text; /* of a long name that is being read */

static void die(const char *what)
{
    fprintf(stderr, "image_floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t octal(const unsigned char *p, int n)
{
    uint64_t v = 0;
    if (*p & 0x80) {
        for (int i = 1; i < n; i++)
            v = v << 8 | p[i];
        return v;
    }
    for (; n && (*p == ' ' || (*p >= '0' && *p <= '7')); n--, p++)
        v = *p == ' ' ? v : v * 8 + (uint64_t)(*p - '0');
    return v;
}

/* The directory of a name stays open until another's file comes. */
static const char *enter(char *name)
{
    char *slash = strrchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : 0;
    if (dir_fd >= 0 && strlen(open_dir) == n && memcmp(open_dir, name, n) == 0)
        return slash ? slash + 1 : name;
    if (dir_fd >= 0)
        close(dir_fd);
    memcpy(open_dir, name, n);
    open_dir[n] = '\0';
    for (char *p = open_dir; (p = strchr(p, '/')); *p++ = '/') { /* parents that the tar does not list */
        *p = '\0';
        (void)mkdirat(root_fd, open_dir, 0755);
    }
    (void)mkdirat(root_fd, n ? open_dir : ".", 0755);
    dir_fd = openat(root_fd, n ? open_dir : ".", O_PATH | O_DIRECTORY);
    if (dir_fd < 0)
        die(open_dir);
    return slash ? slash + 1 : name;
}

static void end_file(void)
{
    if (file_fd < 0)
        return;
    futimens(file_fd, file_times);
    close(file_fd);
    file_fd = -1;
}

static void own_and_time(const char *last, uid_t uid, gid_t gid)
{
    if ((uid || gid) && fchownat(dir_fd, last, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        die(last);
    (void)utimensat(dir_fd, last, file_times, AT_SYMLINK_NOFOLLOW);
}

static void make_entry(char *name, const char *link, char type)
{
    mode_t mode = octal(header + 100, 8) & 07777;
    uid_t uid = (uid_t)octal(header + 108, 8);
    gid_t gid = (gid_t)octal(header + 116, 8);
    const char *last = enter(name);
    file_times[0] = file_times[1] = (struct timespec){ .tv_sec = (time_t)octal(header + 136, 12) };
    if (type == '5') {
        if (mkdirat(dir_fd, last, mode) < 0 && errno != EEXIST)
            die(name);
        own_and_time(last, uid, gid);
        if (dirs_n < DIRS_MAX)
            dirs[dirs_n++] = (struct dir_time){ strdup(name), { file_times[0], file_times[1] } };
    } else if (type == '2') {
        if (symlinkat(link, dir_fd, last) < 0)
            die(name);
        own_and_time(last, uid, gid);
    } else if (type == '1') {
        if (linkat(root_fd, link, dir_fd, last, 0) < 0)
            die(name);
    } else if (type == '0' || !type) {
        file_fd = openat(dir_fd, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
        if (file_fd < 0)
            die(name);
        if ((uid || gid) && (fchown(file_fd, uid, gid) < 0 || ((mode & 06000) && fchmod(file_fd, mode) < 0)))
            die(name);
    }
}

static void begin_entry(void)
{
    char name[NAME_MAX_BYTES], link[NAME_MAX_BYTES];
    char type = (char)header[156];
    if (!header[0])
        return;
    left = octal(header + 124, 12);
    pad = (BLOCK - left % BLOCK) % BLOCK;
    if (type == 'L' || type == 'K') {
        text = type == 'L' ? long_name : long_link;
        text_n = 0;
        memset(text, 0, NAME_MAX_BYTES);
        return;
    }
    snprintf(name, sizeof name, "%.*s", *long_name ? NAME_MAX_BYTES - 1 : 100, *long_name ? long_name : (char *)header);
    snprintf(link, sizeof link, "%.*s", *long_link ? NAME_MAX_BYTES - 1 : 100,
             *long_link ? long_link : (char *)header + 157);
    long_name[0] = long_link[0] = '\0';
    for (size_t n = strlen(name); n > 1 && name[n - 1] == '/';)
        name[--n] = '\0';
    make_entry(name, link, type);
    if (!left)
        end_file();
}

static size_t take_content(const unsigned char *p, size_t n)
{
    size_t now = left < n ? left : n;
    if (text && text_n + now < NAME_MAX_BYTES) {
        memcpy(text + text_n, p, now);
        text_n += now;
    } else if (file_fd >= 0 && write(file_fd, p, now) != (ssize_t)now) {
        die("write");
    }
    left -= now;
    if (!left) {
        text = NULL;
        end_file();
    }
    return now;
}

static void untar(const unsigned char *p, size_t n)
{
    while (n) {
        size_t now;
        if (left) {
            now = take_content(p, n);
        } else if (pad) {
            now = pad < n ? pad : n;
            pad -= now;
        } else {
            now = BLOCK - header_n < n ? BLOCK - header_n : n;
            memcpy(header + header_n, p, now);
            header_n += now;
            if (header_n == BLOCK) {
                header_n = 0;
                begin_entry();
            }
        }
        p += now;
        n -= now;
    }
}

int main(int argc, char **argv)
{
    struct stat st;
    static struct inflate_state s;
    static unsigned char out[PIECE];
    EVP_MD_CTX *blob_hash = EVP_MD_CTX_new(), *diff_hash = EVP_MD_CTX_new();
    int fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || (mkdir(argv[2], 0755) < 0 && errno != EEXIST))
        die("image_floor BLOB DIR");
    root_fd = open(argv[2], O_RDONLY | O_DIRECTORY);
    unsigned char *in = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (root_fd < 0 || in == MAP_FAILED)
        die("open");
    umask(0);
    EVP_DigestInit_ex(blob_hash, EVP_sha256(), NULL);
    EVP_DigestInit_ex(diff_hash, EVP_sha256(), NULL);
    isal_inflate_init(&s);
    s.crc_flag = ISAL_GZIP;
    for (size_t at = 0; s.block_state != ISAL_BLOCK_FINISH;) {
        if (!s.avail_in) {
            size_t n = (size_t)st.st_size - at < PIECE ? (size_t)st.st_size - at : PIECE;
            EVP_DigestUpdate(blob_hash, in + at, n);
            s.next_in = in + at;
            s.avail_in = (uint32_t)n;
            at += n;
        }
        s.next_out = out;
        s.avail_out = PIECE;
        if (isal_inflate(&s) != ISAL_DECOMP_OK)
            die("inflate");
        EVP_DigestUpdate(diff_hash, out, PIECE - s.avail_out);
        untar(out, PIECE - s.avail_out);
    }
    for (size_t i = dirs_n; i-- > 0;)
        (void)utimensat(root_fd, dirs[i].name, dirs[i].times, 0);
    unsigned char sum[EVP_MAX_MD_SIZE];
    for (int i = 0; i < 2; i++) {
        EVP_DigestFinal_ex(i ? diff_hash : blob_hash, sum, NULL);
        for (int k = 0; k < 32; k++)
            printf("%02x", sum[k]);
        printf("\n");
    }
    return 0;
}
