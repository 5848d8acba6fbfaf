// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One child reads, another writes, a pipe between them: each is root of its own container, or the caller on the host,
 * and has no other rights. So the ids of one user namespace never meet another's, and no path is joined.
 */
#include "engine/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "engine/inside.h"
#include "engine/paths.h"
#include "engine/unpacked.h"

static bool is_stream(const struct copy_side *s)
{
    return !s->container && strcmp(s->path, "-") == 0;
}

struct half {
    const struct copy_side *side;
    const struct copy_options *options;
    const struct copy_into *into;
    int tar_fd, other_fd; /* the pipe's other end is to be closed in the child */
};

static err *out_half(int root_fd, void *ctx)
{
    const struct half *h = ctx;
    return copy_out(root_fd, h->side->path, h->options->follow, h->tar_fd);
}

static err *in_half(int root_fd, void *ctx)
{
    const struct half *h = ctx;
    return copy_in(root_fd, h->into, h->tar_fd);
}

/* The host's root for the host's paths: the caller's own rights are what limits them. */
static fallible on_host(inside_fn *fn, struct half *h)
{
    own_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_sys(errno, "open '/'");
    return fn(root, h);
}

static err *read_side(void *ctx)
{
    struct half *h = ctx;
    close_now(&h->other_fd);
    return h->side->container ? container_inside(h->side->container, INSIDE_MOUNTS, out_half, h) : on_host(out_half, h);
}

static err *write_side(void *ctx)
{
    struct half *h = ctx;
    close_now(&h->other_fd);
    return h->side->container ? container_inside(h->side->container, INSIDE_MOUNTS, in_half, h) : on_host(in_half, h);
}

/* As docker's: an archive may be packed. */
static fallible write_stream(struct half *h, struct copy_into *into)
{
    struct unpacked u;
    TRY(unpacked_begin(STDIN_FILENO, &u));
    into->unpacked = &u;
    h->tar_fd = u.fd;
    err *e = unpacked_end(&u, write_side(h));
    into->unpacked = NULL;
    return e;
}

/* Of the two errors the one that came first: a side whose other side failed says only that the stream broke. */
static fallible first_cause(err *take_reading, err *take_writing)
{
    bool broken = take_reading && err_errno(take_reading) == EPIPE;
    err *cause = take_reading && !broken ? take_reading : take_writing ? take_writing : take_reading;
    err_ignore(cause == take_reading ? take_writing : take_reading, "it follows from the other side's");
    return cause;
}

static fallible copy_through_pipe(struct half *from, struct half *to)
{
    int ends[2];
    struct child_work reader, writer;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int out = ends[0], in = ends[1];
    *from = (struct half){ from->side, from->options, NULL, in, out };
    *to = (struct half){ to->side, to->options, to->into, out, in };
    TRY(child_begin(read_side, from, &reader));
    err *e = child_begin(write_side, to, &writer);
    close_now(&in);
    close_now(&out);
    if (!e)
        e = child_end(&writer);
    return first_cause(child_end(&reader), e);
}

/* A path of the host's from where the caller is, with what its end says kept: a slash, or "/.". */
static fallible host_path(const char *path, char **ret)
{
    own_mem char *clean = NULL;
    TRY(paths_absolute(path, &clean));
    bool contents = str_ends(path, "/.") || strcmp(path, ".") == 0;
    bool slash = str_ends(path, "/");
    *ret = mem_printf("%s%s", clean, contents ? "/." : slash && clean[1] ? "/" : "");
    return NULL;
}

fallible container_copy(const struct copy_side *from, const struct copy_side *to, const struct copy_options *o)
{
    own_mem char *from_path = NULL, *to_path = NULL;
    struct copy_side sides[2] = { *from, *to };
    if (!from->container && !to->container)
        return err_new(ERR_INVALID, "one side has to be a container's: CONTAINER:PATH");
    if (!from->container && !is_stream(from)) {
        TRY(host_path(from->path, &from_path));
        sides[0].path = from_path;
    }
    if (!to->container && !is_stream(to)) {
        TRY(host_path(to->path, &to_path));
        sides[1].path = to_path;
    }
    struct copy_into into = {
        .path = sides[1].path,
        .contents = str_ends(from->path, "/.") || strcmp(from->path, ".") == 0,
        .as_is = is_stream(from),
        .owners = o->archive || is_stream(from),
        .overwrite = o->overwrite,
    };
    struct half reading = { &sides[0], o, NULL, STDOUT_FILENO, -1 },
                writing = { &sides[1], o, &into, STDIN_FILENO, -1 };
    if (is_stream(to))
        TRY(read_side(&reading));
    else if (is_stream(from))
        TRY(write_stream(&writing, &into));
    else
        TRY(copy_through_pipe(&reading, &writing));
    if (from->container)
        container_say(from->container, "archive-path", "path", from->path, NULL);
    if (to->container)
        container_say(to->container, "extract-to-dir", "path", to->path, NULL);
    return NULL;
}
