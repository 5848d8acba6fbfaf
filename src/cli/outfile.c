// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"

struct outfile {
    int fd;
    int sock;  /* to the keeper; -1: the file was there and is no regular one */
    int pidfd; /* of the keeper */
};

struct keeping {
    int dir_fd;
    char *staged, *name;
};

/* Outlives its parent's confinement, and its death: then what is half written goes away. */
static _Noreturn void keep(int sock, const struct keeping *k)
{
    char word;
    size_t n = 0;
    err *e = NULL;
    char answer[ERR_ENCODED_MAX];
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    err_ignore(sock_recv(sock, &word, 1, &n, NULL, 0, NULL), "nobody is there");
    if (n == 0) {
        (void)unlinkat(k->dir_fd, k->staged, 0);
        _exit(0);
    }
    if (renameat(k->dir_fd, k->staged, k->dir_fd, k->name) < 0) {
        e = err_sys(errno, "put it in place");
        (void)unlinkat(k->dir_fd, k->staged, 0);
    }
    n = e ? err_encode(e, answer, sizeof answer) : 0;
    err_ignore(sock_send(sock, e ? answer : "", e ? n : 1, NULL, 0), "nobody is there");
    _exit(0);
}

static fallible start_keeper(struct outfile *f, const struct keeping *k)
{
    int socks[2];
    pid_t pid = -1;
    fflush(NULL);
    TRY(sock_pair(socks));
    err *e = proc_clone(0, -1, &pid, &f->pidfd);
    if (!e && pid == 0) {
        (void)close(socks[0]);
        keep(socks[1], k);
    }
    (void)close(socks[1]);
    f->sock = socks[0];
    return e;
}

static fallible make_file(struct outfile *f, const char *path, mode_t mode)
{
    char random[17];
    own_mem char *dir_text = mem_strdup(path);
    own_mem char *name_text = mem_strdup(path);
    const char *dir = dirname(dir_text), *slash = strrchr(name_text, '/');
    own_fd int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return err_sys(errno, "open '%s'", dir);
    random_hex(random, 8);
    own_mem char *staged = mem_printf(".husk-%s", random);
    struct keeping k = { dir_fd, staged, (char *)(slash ? slash + 1 : name_text) };
    TRY(start_keeper(f, &k)); /* first, so that no file is ever without one */
    f->fd = openat(dir_fd, staged, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return f->fd < 0 ? err_sys(errno, "make a file in '%s'", dir) : NULL;
}

fallible outfile_open(const char *path, mode_t mode, struct outfile **ret)
{
    own(outfile) struct outfile *f = mem_zalloc(sizeof *f);
    struct stat st;
    f->fd = f->sock = f->pidfd = -1;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode))
        return err_new(ERR_INVALID, "'%s' is a directory", path);
    if (!*path || str_ends(path, "/"))
        return err_new(ERR_INVALID, "'%s' is no file's name", path);
    if (there && !S_ISREG(st.st_mode)) { /* a pipe, a device: nothing to rename */
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (f->fd < 0)
            return err_sys(errno, "open '%s'", path);
    } else {
        TRY(make_file(f, path, mode));
    }
    *ret = take(f);
    return NULL;
}

int outfile_fd(const struct outfile *f)
{
    return fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
}

fallible outfile_finish(struct outfile *f)
{
    char answer[ERR_ENCODED_MAX];
    size_t n = 0;
    if (f->sock < 0)
        return NULL;
    TRY(sock_send(f->sock, "k", 1, NULL, 0));
    TRY(sock_recv(f->sock, answer, sizeof answer, &n, NULL, 0, NULL));
    if (n == 0)
        return err_new(ERR_UNAVAILABLE, "the process that puts the file in place is gone");
    return n == 1 ? NULL : err_decode(answer, n);
}

fallible outfile_finish_text(struct outfile *f, const char *text)
{
    if (!f)
        return NULL;
    TRY(fs_write_fd(f->fd, text, strlen(text), "a file"));
    return outfile_finish(f);
}

void outfile_free(struct outfile *f)
{
    int status = 0;
    if (!f)
        return;
    close_now(&f->sock);
    if (f->pidfd >= 0)
        err_ignore(proc_wait(f->pidfd, -1, &status), "it is gone already");
    close_now(&f->pidfd);
    close_now(&f->fd);
    free(f);
}
