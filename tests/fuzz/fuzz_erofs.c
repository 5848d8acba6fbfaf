/*
 * Any bytes as a layer's tar: a tree or an error. A tree can be put over another, and its index is whole blocks that
 * begin as EROFS does, the same each time it is made. A layer's file gives the tree back that it was made of; and with
 * the same bytes written over it here and there, as a damaged one would have them, a tree or an error.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "layers/erofs.h"
#include "os/fs.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#define ZEROS_32 "00000000000000000000000000000000"
static const char diff_id[] = "sha256:" ZEROS_32 ZEROS_32;

struct input {
    const unsigned char *p;
    size_t n;
};
static err *next(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct input *in = ctx;
    *ret_bytes = in->p;
    *ret_n = in->n;
    in->n = 0;
    return NULL;
}

static struct erofs *read_layer(const unsigned char *data, size_t size, uint16_t device)
{
    struct untar_limits limits = { .bytes = 1 << 20, .entries = 500, .devices = 4 };
    struct input in = { data, size };
    own(erofs) struct erofs *e = erofs_new();
    own(tar) struct tar *t = tar_new((struct tar_source){ next, &in });
    own(err) err *failed = erofs_read_tar(e, t, &limits, device);
    return failed ? NULL : take(e);
}

static void write_index(struct erofs *e, size_t size, size_t devices, char **ret_text, size_t *ret_n)
{
    struct erofs_device list[] = { { diff_id, size }, { diff_id, size } };
    own_fd int fd = -1;
    err_ignore(fs_memfd("index", &fd), "seen below");
    own(err) err *failed = erofs_write(e, list, devices, fd);
    if (failed || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    err_ignore(fs_read_fd(fd, "index", 1 << 28, ret_text, ret_n), "seen below");
    static const unsigned char magic[] = { 0xe2, 0xe1, 0xf5, 0xe0 };
    if (!*ret_text || *ret_n % 512 || *ret_n < 1536 || memcmp(*ret_text + 1024, magic, 4) != 0)
        abort();
}

static void read_bytes(int fd, char **ret_text, size_t *ret_n)
{
    if (lseek(fd, 0, SEEK_SET) < 0)
        abort();
    err_ignore(fs_read_fd(fd, "layer", 1 << 28, ret_text, ret_n), "seen by whoever compares");
}

/* Tree -> file -> tree -> file: both files are one. */
static void there_and_back(struct erofs *e, size_t size, int fd)
{
    own_fd int again_fd = -1;
    own_mem char *a = NULL, *b = NULL;
    size_t na = 0, nb = 0;
    own(erofs) struct erofs *back = erofs_new();
    err_ignore(fs_memfd("again", &again_fd), "seen below");
    own(err) err *failed = erofs_write_layer(e, size, fd);
    if (!failed)
        failed = erofs_read_index(back, fd, 0);
    if (!failed)
        failed = erofs_write_layer(back, size, again_fd);
    if (failed)
        abort();
    read_bytes(fd, &a, &na);
    read_bytes(again_fd, &b, &nb);
    if (!a || !b || na != nb || memcmp(a, b, na) != 0)
        abort();
}

/* Each four bytes of the input: where behind the tar, and what. */
static void damage(const unsigned char *data, size_t size, int fd)
{
    off_t end = lseek(fd, 0, SEEK_END), from = (off_t)((EROFS_TAR_AT + size + 511) / 512 * 512);
    own(erofs) struct erofs *e = erofs_new();
    for (size_t i = 0; i + 4 <= size && i < 64 && end > from; i += 4) {
        off_t at = from + (data[i] | data[i + 1] << 8 | data[i + 2] << 16) % (end - from);
        if (pwrite(fd, data + i + 3, 1, at) != 1)
            abort();
    }
    err_ignore(erofs_read_index(e, fd, 0), "a tree or an error");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_fd int fd = -1;
    own(erofs) struct erofs *lower = read_layer(data, size, 0);
    own(erofs) struct erofs *again = read_layer(data, size, 0);
    own(erofs) struct erofs *upper = read_layer(data, size, 1);
    own_mem char *a = NULL, *b = NULL, *c = NULL;
    size_t na = 0, nb = 0, nc = 0;
    if (!lower != !again)
        abort();
    if (!lower)
        return 0;
    write_index(again, size, 1, &b, &nb);
    own(erofs) struct erofs *third = read_layer(data, size, 0);
    write_index(third, size, 1, &a, &na);
    if (na != nb || memcmp(a, b, na) != 0)
        abort();
    own(erofs) struct erofs *fourth = read_layer(data, size, 0);
    err_ignore(fs_memfd("layer", &fd), "seen below");
    there_and_back(fourth, size, fd);
    damage(data, size, fd);
    erofs_merge(lower, upper);
    write_index(lower, size, 2, &c, &nc);
    return 0;
}
