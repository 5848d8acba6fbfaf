// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the files of a build come from: a directory in place, or a tar on standard input, unpacked into staging.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/build_parts.h"
#include "codec/stream.h"
#include "engine/paths.h"
#include "layers/untar.h"
#include "os/fs.h"

enum { IGNORE_MAX = 4 << 20, CHUNK = 256 << 10 };

/* ---- a tar on standard input ---- */

struct feed {
    struct stream *stream;
    unsigned char *buffer;
};

static fallible feed_next(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct feed *f = ctx;
    *ret_bytes = f->buffer;
    return stream_read(f->stream, f->buffer, CHUNK, ret_n);
}

static fallible unpack_stream(struct stream *stream, int dir_fd)
{
    struct untar_limits limits = { 0 };
    struct feed f = { stream, mem_alloc(CHUNK) };
    own(tar) struct tar *t = tar_new((struct tar_source){ feed_next, &f });
    err *e = untar_limits_fill(&limits);
    if (!e)
        e = untar(t, dir_fd, &limits);
    free(f.buffer);
    return e;
}

/* What was read to see what it is, and then the rest. */
struct again {
    char head[1024];
    size_t n, at;
};

static fallible read_again(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct again *a = ctx;
    if (a->at < a->n) {
        *ret_n = a->n - a->at < max ? a->n - a->at : max;
        memcpy(buf, a->head + a->at, *ret_n);
        a->at += *ret_n;
        return NULL;
    }
    ssize_t n;
    while ((n = read(STDIN_FILENO, buf, max)) < 0 && errno == EINTR)
        ;
    *ret_n = n > 0 ? (size_t)n : 0;
    return n < 0 ? err_sys(errno, "read standard input") : NULL;
}

static fallible read_head(struct again *a)
{
    while (a->n < sizeof a->head) {
        ssize_t n = read(STDIN_FILENO, a->head + a->n, sizeof a->head - a->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read standard input");
        if (n == 0)
            return NULL;
        a->n += (size_t)n;
    }
    return NULL;
}

static bool is_tar(const struct again *a)
{
    return stream_form_of(a->head, a->n) != STREAM_PLAIN || (a->n > 262 && memcmp(a->head + 257, "ustar", 5) == 0);
}

static fallible read_rest(struct again *a, struct str *ret)
{
    char buf[65536];
    for (size_t n = 1; n > 0;) {
        TRY(read_again(a, buf, sizeof buf, &n));
        str_add_n(ret, buf, n);
        if (ret->len > DOCKERFILE_MAX)
            return err_new(ERR_INVALID, "standard input is no tar, and as a Dockerfile it is larger than %d MiB",
                           DOCKERFILE_MAX >> 20);
    }
    return NULL;
}

static fallible context_of_stdin(struct build *b, struct str *ret_dockerfile)
{
    struct again a = { .n = 0 };
    b->context.temporary = mem_printf("tmp/%s/context", b->dir_name);
    b->context.path = mem_printf("%s/%s", b->layout->path, b->context.temporary);
    if (mkdirat(b->dir_fd, "context", 0755) < 0)
        return err_sys(errno, "make '%s'", b->context.path);
    b->context.fd = openat(b->dir_fd, "context", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->context.fd < 0)
        return err_sys(errno, "open '%s'", b->context.path);
    TRY(read_head(&a));
    if (!is_tar(&a))
        return read_rest(&a, ret_dockerfile);
    own(stream) struct stream *stream = NULL;
    TRY(stream_open((struct stream_source){ read_again, &a }, 0, &stream));
    return err_wrap(unpack_stream(stream, b->context.fd), "the context on standard input");
}

/* ---- the Dockerfile ---- */

static fallible read_stdin(struct str *ret)
{
    struct again a = { .n = 0 };
    return read_rest(&a, ret);
}

/* In the context, with its links followed there. */
static fallible read_in_context(struct build *b, const char *name, char **ret, size_t *ret_len)
{
    return fs_read_at(b->context.fd, name, DOCKERFILE_MAX, ret, ret_len);
}

static fallible find_dockerfile(struct build *b, char **ret, size_t *ret_len)
{
    static const char *const names[] = { "Dockerfile", "Containerfile", "dockerfile" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        err *e = read_in_context(b, names[i], ret, ret_len);
        if (!err_is(e, ERR_NOT_FOUND)) {
            b->file_path = mem_printf("%s/%s", b->context.path, names[i]);
            return e;
        }
        err_free(e);
    }
    return err_new(ERR_NOT_FOUND, "there is no Dockerfile in '%s': name one with --file", b->context.path);
}

static fallible read_dockerfile(struct build *b, struct str *given)
{
    const char *file = b->o->file;
    own_mem char *text = NULL;
    size_t len = 0;
    if (file && strcmp(file, "-") == 0 && strcmp(b->o->context, "-") == 0)
        return err_new(ERR_INVALID, "the Dockerfile and the context cannot both be standard input");
    if (file && strcmp(file, "-") == 0)
        TRY(read_stdin(given));
    if (given->text || (file && strcmp(file, "-") == 0)) {
        b->file_path = mem_strdup("-");
        return dockerfile_parse(given->text ? given->text : "", given->len, "Dockerfile", &b->file);
    }
    if (!file) {
        TRY(find_dockerfile(b, &text, &len));
    } else {
        err *e = b->context.temporary ? read_in_context(b, file, &text, &len)
                                      : fs_read_at(AT_FDCWD, file, DOCKERFILE_MAX, &text, &len);
        if (err_is(e, ERR_NOT_FOUND) && file[0] != '/') {
            err_free(e);
            e = read_in_context(b, file, &text, &len);
            b->file_path = mem_printf("%s/%s", b->context.path, file);
        }
        TRY_AS(e, "--file");
        if (!b->file_path)
            TRY(paths_absolute(file, &b->file_path));
    }
    const char *slash = strrchr(b->file_path, '/');
    return dockerfile_parse(text, len, file ? file : slash + 1, &b->file);
}

/* ---- .dockerignore ---- */

static fallible read_ignore(struct build *b)
{
    own_mem char *own = mem_printf("%s.dockerignore", b->file_path), *text = NULL;
    size_t len = 0;
    if (b->o->how.ignore_file) {
        TRY_AS(fs_read_at(AT_FDCWD, b->o->how.ignore_file, IGNORE_MAX, &text, &len), "--ignorefile");
        return ignore_parse(text, b->o->how.ignore_file, &b->context.ignore);
    }
    err *e = strcmp(b->file_path, "-") == 0 ? err_new(ERR_NOT_FOUND, "standard input has none")
                                            : fs_read_at(AT_FDCWD, own, IGNORE_MAX, &text, &len);
    const char *name = strrchr(own, '/') ? strrchr(own, '/') + 1 : own;
    static const char *const names[] = { ".containerignore", ".dockerignore" };
    for (size_t i = 0; i < ARRAY_SIZE(names) && err_is(e, ERR_NOT_FOUND); i++) {
        err_free(e);
        name = names[i];
        e = fs_read_at(b->context.fd, name, IGNORE_MAX, &text, &len);
    }
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    return ignore_parse(text, name, &b->context.ignore);
}

fallible build_context_open(struct build *b)
{
    const char *context = b->o->context;
    own_str struct str text = { 0 };
    if (strcmp(context, "-") == 0) {
        TRY(context_of_stdin(b, &text));
    } else if (context_is_remote(context)) {
        TRY(context_fetch(b, context, "context", &b->context, &text));
    } else {
        own_mem char *absolute = NULL;
        TRY(paths_absolute(context, &absolute));
        b->context.path = paths_clean(absolute);
        b->context.fd = open(b->context.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (b->context.fd < 0)
            return err_sys(errno, "context '%s'", context);
    }
    TRY(read_dockerfile(b, &text));
    TRY(read_ignore(b));
    b->context.hashes = hashes_open(b->cache.files_fd, b->context.temporary ? "-" : b->context.path);
    return NULL;
}

void build_context_close(struct build *b)
{
    context_clear(&b->context);
    free(b->file_path);
    dockerfile_free(b->file);
}
