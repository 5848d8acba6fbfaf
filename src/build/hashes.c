// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/hashes.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "os/fs.h"

struct record {
    uint64_t device, inode, size;
    int64_t mtime_ns, ctime_ns;
    unsigned char hash[HASH_SIZE];
};
_Static_assert(sizeof(struct record) == 72, "the file's format");

struct hashes {
    int dir_fd;
    char name[65];
    const struct record *old;
    size_t old_n, old_size;
    struct record *fresh;
    size_t fresh_n, fresh_room;
    int64_t too_new_ns;
};

static int64_t in_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int compare(const void *a_, const void *b_)
{
    const struct record *a = a_, *b = b_;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

static void map_old(struct hashes *h)
{
    struct stat st;
    own_fd int fd = openat(h->dir_fd, h->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0 || st.st_size % (off_t)sizeof(struct record) != 0)
        return;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0); /* replaced by rename, never written */
    if (map == MAP_FAILED)
        return;
    h->old = map;
    h->old_size = (size_t)st.st_size;
    h->old_n = h->old_size / sizeof(struct record);
    (void)futimens(fd, NULL); /* when it was used last */
}

struct hashes *hashes_open(int dir_fd, const char *context_path)
{
    struct hashes *h = mem_zalloc(sizeof *h);
    struct timespec now;
    own_mem char *name = digest_of(context_path, strlen(context_path));
    h->dir_fd = dir_fd;
    snprintf(h->name, sizeof h->name, "%.64s", name + strlen("sha256:"));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    h->too_new_ns = in_ns(now) - 1000000000;
    map_old(h);
    return h;
}

void hashes_free(struct hashes *h)
{
    if (!h)
        return;
    if (h->old)
        (void)munmap((void *)(uintptr_t)h->old, h->old_size);
    free(h->fresh);
    free(h);
}

static struct record key_of(const struct stat *st)
{
    return (struct record){ .device = st->st_dev,
                            .inode = st->st_ino,
                            .size = (uint64_t)st->st_size,
                            .mtime_ns = in_ns(st->st_mtim),
                            .ctime_ns = in_ns(st->st_ctim) };
}

bool hashes_known(const struct hashes *h, const struct stat *st, unsigned char ret[HASH_SIZE])
{
    struct record key = key_of(st);
    const struct record *found = h->old_n ? bsearch(&key, h->old, h->old_n, sizeof key, compare) : NULL;
    if (!found || found->size != key.size || found->mtime_ns != key.mtime_ns || found->ctime_ns != key.ctime_ns)
        return false;
    memcpy(ret, found->hash, HASH_SIZE);
    return true;
}

void hashes_remember(struct hashes *h, const struct stat *st, const unsigned char hash[HASH_SIZE])
{
    struct record key = key_of(st);
    if (key.ctime_ns > h->too_new_ns)
        return;
    memcpy(key.hash, hash, HASH_SIZE);
    if (h->fresh_n == h->fresh_room) {
        h->fresh_room = h->fresh_room ? h->fresh_room * 2 : 64;
        h->fresh = mem_array(h->fresh, h->fresh_room, sizeof *h->fresh);
    }
    h->fresh[h->fresh_n++] = key;
}

fallible hashes_sum(int fd, const char *name, unsigned char *buffer, size_t room, unsigned char ret[HASH_SIZE])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    err *e = !md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1 ? err_new(ERR_INTERNAL, "begin a sha256") : NULL;
    while (!e) {
        ssize_t n = read(fd, buffer, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            e = err_sys(errno, "read '%s'", name);
        if (n <= 0)
            break;
        EVP_DigestUpdate(md, buffer, (size_t)n);
    }
    if (!e)
        EVP_DigestFinal_ex(md, ret, NULL);
    EVP_MD_CTX_free(md);
    return e;
}

/* Old and new in one, the new ones winning. */
void hashes_save(struct hashes *h)
{
    if (h->fresh_n == 0)
        return;
    qsort(h->fresh, h->fresh_n, sizeof *h->fresh, compare);
    struct record *all = mem_array(NULL, h->old_n + h->fresh_n, sizeof *all);
    size_t n = 0, o = 0;
    for (size_t f = 0; f < h->fresh_n; f++) {
        if (f + 1 < h->fresh_n && compare(&h->fresh[f], &h->fresh[f + 1]) == 0)
            continue;
        while (o < h->old_n && compare(&h->old[o], &h->fresh[f]) < 0)
            all[n++] = h->old[o++];
        if (o < h->old_n && compare(&h->old[o], &h->fresh[f]) == 0)
            o++;
        all[n++] = h->fresh[f];
    }
    while (o < h->old_n)
        all[n++] = h->old[o++];
    err *e = fs_replace_at(h->dir_fd, h->name, all, n * sizeof *all, 0600, FS_SYNC_NONE);
    if (e)
        log_debug("the files' digests are not kept: %s", err_text(e));
    err_ignore(e, "the next build reads the files again");
    free(all);
    h->fresh_n = 0;
}
