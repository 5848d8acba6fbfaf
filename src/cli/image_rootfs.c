/*
 * husk rootfs from-host: a root file system of this machine's programs, as an image or in a directory.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "cli/image_common.h"
#include "codec/stream.h"
#include "image/change.h"
#include "image/ref.h"
#include "layers/hostfs.h"
#include "layers/import.h"
#include "layers/untar.h"
#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"

struct rootfs_opts {
    const char *output, *tag;
    bool list;
};

#define T struct rootfs_opts
static const struct opt rootfs_rows[] = {
    OPT_STR('o', "output", T, output, "DIR", "Write it into this directory, which is made or empty", .exclusive = "to"),
    OPT_STR('t', "tag", T, tag, "NAME", "Make an image of it with this name", .exclusive = "to"),
    OPT_FLAG(0, "list", T, list, "Only print what would be in it", .exclusive = "to"),
    OPT_END,
};
#undef T

/* ---- the tar's writer: a child that is still the user himself ---- */

struct writer {
    int tar_fd, sock, pidfd;
};
static void own_drop_writer(struct writer *w)
{
    close_now(&w->tar_fd);
    close_now(&w->sock);
    close_now(&w->pidfd);
}

static _Noreturn void write_tar(struct hostfs *h, int fd, int sock)
{
    char answer[ERR_ENCODED_MAX];
    (void)signal(SIGPIPE, SIG_IGN);
    err *e = hostfs_write(h, fd);
    size_t n = e ? err_encode(e, answer, sizeof answer) : 0;
    if (n)
        err_ignore(sock_send(sock, answer, n, NULL, 0), "the reader is gone");
    _exit(e ? 1 : 0);
}

static fallible start_writer(struct hostfs *h, struct writer *w)
{
    int ends[2], pair[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    w->tar_fd = ends[0];
    own_fd int write_end = ends[1];
    TRY(sock_pair(pair));
    w->sock = pair[0];
    own_fd int theirs = pair[1];
    TRY(proc_clone(0, -1, &pid, &w->pidfd));
    if (pid == 0) {
        close_now(&w->tar_fd);
        close_now(&w->sock);
        write_tar(h, write_end, theirs);
    }
    return NULL;
}

/* What the writer says is why the reader saw the end too early. */
static fallible end_writer(struct writer *w, err *take_ours)
{
    own(err) err *ours = take_ours;
    char answer[ERR_ENCODED_MAX];
    size_t n = 0;
    int status = 0;
    close_now(&w->tar_fd);
    TRY(sock_recv(w->sock, answer, sizeof answer, &n, NULL, 0, NULL));
    TRY(proc_wait(w->pidfd, -1, &status));
    if (n && (!ours || err_is(ours, ERR_CORRUPT)))
        return err_decode(answer, n);
    return take(ours);
}

/* ---- an image ---- */

static fallible import_tar(const struct writer *w, const char *name, const char *program, size_t n)
{
    own(image_session) struct image_session *s = NULL;
    own(import_target) struct oci_descriptor *target = NULL;
    own_mem char *id = NULL;
    own_mem char *by = mem_printf("husk rootfs from-host %s%s", program, n > 1 ? " ..." : "");
    struct oci_image_run run = { 0 };
    strv_add(&run.cmd, program);
    strv_add(&run.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    struct import i = {
        .fd = w->tar_fd, .run = &run, .created_by = by, .created_ns = (int64_t)time(NULL) * 1000000000
    };
    err *e = image_session_open(&s);
    if (!e)
        e = image_confine(s, -1);
    if (!e) {
        e = import_image(s->store, &i, &target, &id);
        e = image_session_failed(s, ATTEMPT_WHOLE, e ? e : layout_set_name(s->store, name, target));
    }
    strv_free(&run.cmd);
    strv_free(&run.env);
    return e;
}

/* ---- a directory ---- */

struct reader {
    int fd;
    unsigned char buf[1 << 16];
};
static fallible next_bytes(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct reader *r = ctx;
    ssize_t n;
    do
        n = read(r->fd, r->buf, sizeof r->buf);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(errno, "read the files");
    *ret_bytes = r->buf;
    *ret_n = (size_t)n;
    return NULL;
}

static fallible open_empty(const char *path, int *ret_fd)
{
    TRY(fs_mkdirs_at(AT_FDCWD, path, 0755));
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int again = fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = again < 0 ? NULL : fdopendir(again);
    if (!dir)
        return err_sys(errno, "open '%s'", path);
    for (const struct dirent *e; (e = readdir(dir));)
        if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
            return err_new(ERR_EXISTS, "'%s' is not empty", path);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible unpack_tar(const struct writer *w, int dir_fd)
{
    struct untar_limits limits = { 0 };
    own_mem struct reader *r = mem_zalloc(sizeof *r);
    own(tar) struct tar *t = tar_new((struct tar_source){ next_bytes, r });
    r->fd = w->tar_fd;
    TRY(untar_limits_fill(&limits));
    TRY(untar(t, dir_fd, &limits));
    return tar_drain(t);
}

static fallible make(struct hostfs *h, const struct rootfs_opts *opts, const char *name, struct args args)
{
    own(writer) struct writer w = { -1, -1, -1 };
    own_fd int dir_fd = -1;
    if (opts->output)
        TRY(open_empty(opts->output, &dir_fd));
    TRY(start_writer(h, &w));
    return end_writer(&w, opts->output ? unpack_tar(&w, dir_fd) : import_tar(&w, name, args.v[0], (size_t)args.n));
}

static fallible rootfs_run(const void *opts_, struct args args)
{
    const struct rootfs_opts *opts = opts_;
    own(hostfs) struct hostfs *h = hostfs_new();
    own(ref) struct ref *ref = NULL;
    if (!opts->output && !opts->tag && !opts->list)
        return err_new(ERR_INVALID, "say where to: --output DIR or --tag NAME");
    if (opts->tag)
        TRY(ref_parse(opts->tag, &ref));
    if (ref && ref->digest)
        return err_new(ERR_INVALID, "'%s': a new image's digest cannot be chosen", opts->tag);
    own_mem char *full = ref ? ref_full(ref) : NULL;
    own_mem char *familiar = ref ? ref_familiar(ref) : NULL;
    for (int i = 0; i < args.n; i++)
        TRY(hostfs_add(h, args.v[i]));
    TRY(hostfs_finish(h));
    const struct strv *paths = hostfs_paths(h);
    for (size_t i = 0; opts->list && i < paths->n; i++)
        printf("%s\n", paths->items[i]);
    if (opts->list)
        return NULL;
    TRY(make(h, opts, full, args));
    printf("%s\n", opts->output ? opts->output : familiar);
    return NULL;
}

static const struct command from_host = {
    .name = "from-host",
    .args = "PATH...",
    .summary = "Make a root file system of programs of this machine",
    .detail =
        "Takes each program with its loader and libraries (found by reading ELF files, never by running anything), a\n"
        "script's interpreter, and what those look for when they run: NSS modules and nsswitch.conf, terminfo, CA\n"
        "certificates. Other files and directories are taken as they are. All of it belongs to root; /etc/passwd and\n"
        "/etc/group are new ones.",
    .opts = rootfs_rows,
    .opts_size = sizeof(struct rootfs_opts),
    .min_args = 1,
    .max_args = -1,
    .complete_args = COMPLETE_FILE,
    .fail_exit = 1,
    .run = rootfs_run,
};
static const struct command *const rootfs_commands[] = { &from_host, NULL };

const struct command cmd_rootfs = {
    .name = "rootfs",
    .args = "COMMAND",
    .summary = "Make root file systems",
    .sub = rootfs_commands,
};
