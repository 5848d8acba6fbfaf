/*
 * husk-image pack-stream: standard input, packed, on standard output: for `husk container checkpoint --export`.
 * husk-image unpack-stream: standard input, which is packed, as plain bytes on standard output: for `husk cp -` and
 * `husk volume import`. Whoever calls it has read the first bytes already, and hands them over as a word.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/image_common.h"
#include "codec/stream.h"
#include "os/fs.h"

enum { PIECE = 1 << 16 };
struct input {
    unsigned char begin[STREAM_MAGIC_SIZE];
    size_t at, n;
};

static err *read_input(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct input *in = ctx;
    ssize_t n;
    if (in->at < in->n) {
        *ret_n = in->n - in->at < max ? in->n - in->at : max;
        memcpy(buf, in->begin + in->at, *ret_n);
        in->at += *ret_n;
        return NULL;
    }
    while ((n = read(STDIN_FILENO, buf, max)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return err_sys(errno, "read the archive");
    *ret_n = (size_t)n;
    return NULL;
}

static fallible read_word(const char *word, struct input *in)
{
    for (; word[0] && word[1] && in->n < sizeof in->begin; word += 2) {
        const char two[] = { word[0], word[1], 0 };
        uint64_t v = 0;
        if (strspn(two, "0123456789abcdef") != 2)
            break;
        v = strtoul(two, NULL, 16);
        in->begin[in->n++] = (unsigned char)v;
    }
    return *word ? err_new(ERR_INVALID, "'%s' is not the beginning of a stream", word) : NULL;
}

static fallible pass(struct stream *s)
{
    own_mem char *buf = mem_alloc(PIECE);
    for (;;) {
        size_t n = 0;
        TRY(stream_read(s, buf, PIECE, &n));
        if (n == 0)
            return NULL;
        TRY(fs_write_fd(STDOUT_FILENO, buf, n, "standard output"));
    }
}

static fallible unpack_run(const void *opts, struct args args)
{
    struct input in = { 0 };
    own(stream) struct stream *s = NULL;
    TRY(read_word(args.v[0], &in));
    TRY(image_confine_paths(NULL, NULL, 0));
    (void)signal(SIGPIPE, SIG_DFL); /* who reads has what it wants, or has said why not */
    err *e = stream_open((struct stream_source){ read_input, &in }, 0, &s);
    if (!e)
        e = pass(s);
    if (!e)
        return NULL;
    fprintf(stderr, "husk: the archive: %s\n", err_text(e)); /* our own name would say nothing to a user */
    err_free(e);
    return err_exit(1);
}

static const struct opt unpack_options[] = { OPT_END };
const struct command cmd_unpack_stream = {
    .name = "unpack-stream",
    .args = "BEGINNING",
    .summary = "Unpack standard input",
    .opts = unpack_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .hidden = true,
    .run = unpack_run,
};

static err *write_packed(void *ctx, const void *bytes, size_t n)
{
    return fs_write_fd(STDOUT_FILENO, bytes, n, "the archive");
}

static fallible pack_run(const void *opts, struct args args)
{
    own(packer) struct packer *p = NULL;
    struct input in = { 0 };
    own_mem char *buf = mem_alloc(PIECE);
    TRY(image_confine_paths(NULL, NULL, 0));
    TRY(packer_new(str_eq(args.v[0], "gzip") ? STREAM_GZIP : STREAM_ZSTD, 0, write_packed, NULL, &p));
    for (;;) {
        size_t n = 0;
        TRY(read_input(&in, buf, PIECE, &n));
        if (n == 0)
            return packer_end(p);
        TRY(packer_add(p, buf, n));
    }
}

const struct command cmd_pack_stream = {
    .name = "pack-stream",
    .args = "gzip|zstd",
    .summary = "Pack standard input",
    .opts = unpack_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .hidden = true,
    .run = pack_run,
};
