// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "codec/stream.h"
#include "layers/untar.h"
#include "os/fs.h"
#include "os/userns.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Any bytes as a layer, packed or not: an error or files below root/, and nothing beside it. */
enum { BYTES_MAX = 1 << 20, ENTRIES_MAX = 200, DEVICES_MAX = 4, CHUNK = 4096 };

static char place[64];
static int place_fd = -1;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void leave(void)
{
    err_ignore(fs_remove_tree_at(AT_FDCWD, place), "at the end");
}

static void enter(void)
{
    err_ignore(userns_enter(), "files then belong to who runs this");
    snprintf(place, sizeof place, "%s/husk-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(place) != NULL);
    place_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(place_fd >= 0 && mkdirat(place_fd, "precious", 0700) == 0);
    (void)atexit(leave);
}

struct input {
    const unsigned char *p;
    size_t n;
    struct stream *stream;
    unsigned char chunk[CHUNK];
};
static err *read_input(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct input *in = ctx;
    *ret_n = in->n < max ? in->n : max;
    memcpy(buf, in->p, *ret_n);
    in->p += *ret_n;
    in->n -= *ret_n;
    return NULL;
}
static err *next_chunk(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct input *in = ctx;
    *ret_bytes = in->chunk;
    return stream_read(in->stream, in->chunk, CHUNK, ret_n);
}

static fallible extract(struct input *in, int root)
{
    const struct untar_limits limits = { BYTES_MAX, ENTRIES_MAX, DEVICES_MAX };
    TRY(stream_open((struct stream_source){ read_input, in }, BYTES_MAX, &in->stream));
    own(tar) struct tar *t = tar_new((struct tar_source){ next_chunk, in });
    TRY(untar(t, root, &limits));
    return tar_drain(t);
}

/* A changed header with its old checksum would end each run at once. */
static unsigned char *mend(const unsigned char *data, size_t size)
{
    unsigned char *copy = mem_alloc(size + 1);
    memcpy(copy, data, size);
    for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
        unsigned char *b = copy + at;
        unsigned sum = 0;
        if (memcmp(b + 257, "ustar", 5) != 0)
            continue;
        memset(b + 148, ' ', 8);
        for (size_t i = 0; i < TAR_BLOCK; i++)
            sum += b[i];
        snprintf((char *)b + 148, 8, "%06o", sum);
    }
    return copy;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (place_fd < 0)
        enter();
    own_mem unsigned char *mended = mend(data, size);
    struct input in = { .p = mended, .n = size };
    must(mkdirat(place_fd, "root", 0755) == 0);
    own_fd int root = openat(place_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err_ignore(extract(&in, root), "most inputs are no archives");
    stream_free(in.stream);
    own(err) err *e = fs_remove_tree_at(place_fd, "root");
    must(!e);
    struct stat st;
    must(fstat(place_fd, &st) == 0 && st.st_nlink == 3); /* ".", its name, precious/ */
    must(fstatat(place_fd, "precious", &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & 07777) == 0700 &&
         st.st_nlink == 2);
    return 0;
}
