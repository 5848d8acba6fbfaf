// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuse-overlayfs, where the kernel's own overlayfs cannot be mounted. husk makes the mount itself, detached, and the
 * program gets the connection as /dev/fd/N (libfuse 3.3): nothing is ever mounted by a name, and when the last copy of
 * the mount is gone, whoever was killed, the kernel ends the connection and the program with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"
#include "rootfs/rootfs_parts.h"

#define PROGRAM "fuse-overlayfs"

/* ',' divides its options, ':' layers. */
static void add_path(struct str *s, const char *path)
{
    for (const char *p = path; *p; p++) {
        if (strchr(":,\\", *p))
            str_add_char(s, '\\');
        str_add_char(s, *p);
    }
}

static char *options_of(const struct rootfs_source *s)
{
    own_str struct str text = { 0 };
    str_add(&text, "lowerdir=");
    for (size_t i = 0; i < s->lowers.n; i++) {
        str_add(&text, i ? ":" : "");
        add_path(&text, s->lowers.items[i]);
    }
    if (s->upper) {
        str_add(&text, ",upperdir=");
        add_path(&text, s->upper);
        str_add(&text, ",workdir=");
        add_path(&text, s->work);
    }
    if (s->uid_shift && s->gid_shift)
        str_printf(&text, ",uidmapping=%s,gidmapping=%s", s->uid_shift, s->gid_shift);
    if (s->throw_away)
        str_add(&text, ",volatile");
    return str_take(&text);
}

/* A session of its own: the signals of the caller's terminal are not for it. */
static void __attribute__((noreturn)) become_program(int fuse_fd, int log_fd, const char *options)
{
    char fd_path[32];
    char *argv[] = { (char *)PROGRAM, (char *)"-f", (char *)"-o", (char *)(uintptr_t)options, fd_path, NULL };
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)setsid();
    (void)snprintf(fd_path, sizeof fd_path, "/dev/fd/%d", fuse_fd);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
        fcntl(fuse_fd, F_SETFD, 0) < 0 || chdir("/") < 0)
        _exit(126);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execvp(PROGRAM, argv);
    dprintf(2, "%s: %s\n", PROGRAM, strerror(errno));
    _exit(127);
}

/* Why it has ended: its last words. */
static fallible ended(int log_fd)
{
    char text[512];
    ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    for (size_t len = strlen(text); len && text[len - 1] == '\n';)
        text[--len] = '\0';
    const char *last = strrchr(text, '\n');
    return err_new(ERR_UNSUPPORTED, PROGRAM ": it ended at once: %s",
                   last    ? last + 1
                   : *text ? text
                           : "without a word");
}

static fallible connection(int *ret_fuse, int *ret_mount)
{
    char number[16];
    own_fd int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0)
        return err_new(ERR_UNSUPPORTED, PROGRAM ": open '/dev/fuse': %s", strerror(errno));
    (void)snprintf(number, sizeof number, "%d", fuse);
    const struct mount_option options[] = {
        { "fd", number },    { "rootmode", "40000" },         { "user_id", "0" },
        { "group_id", "0" }, { "default_permissions", NULL }, { "allow_other", NULL },
    };
    TRY(mount_make("fuse", PROGRAM, options, ARRAY_SIZE(options), 0, ret_mount));
    *ret_fuse = take_fd(&fuse);
    return NULL;
}

fallible fuse_overlay_mount(const struct rootfs_source *s, int *ret_mount_fd)
{
    own_fd int fuse = -1, mount = -1, log = -1, pidfd = -1;
    own_mem char *options = options_of(s);
    struct stat st;
    pid_t pid = 0;
    TRY(fs_memfd(PROGRAM, &log));
    TRY(connection(&fuse, &mount));
    (void)fflush(NULL);
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0)
        become_program(fuse, log, options);
    close_now(&fuse);          /* only the program has it: when it ends, so does whoever waits for an answer */
    if (fstat(mount, &st) < 0) /* its first answer */
        return ended(log);
    *ret_mount_fd = take_fd(&mount);
    return NULL;
}

struct inside {
    const struct rootfs_source *source;
    int userns_fd, sock;
};

/* /dev/fuse must be opened, and the file system made, in the user namespace that is to see it; and whoever makes it
 * needs a mount namespace that belongs to that. */
static fallible make_inside(const struct inside *i)
{
    own_fd int mount = -1;
    if (setns(i->userns_fd, CLONE_NEWUSER) < 0)
        return err_sys(errno, "enter the container's user namespace");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(errno, "become root of the container's user namespace");
    if (unshare(CLONE_NEWNS) < 0)
        return err_sys(errno, "make a mount namespace");
    TRY(fuse_overlay_mount(i->source, &mount));
    return sock_send(i->sock, "m", 1, &mount, 1);
}

fallible fuse_overlay_mount_in(const struct rootfs_source *s, int userns_fd, int *ret_mount_fd)
{
    char answer[ERR_ENCODED_MAX];
    int pair[2], status = 0;
    pid_t pid = 0;
    own_fd int pidfd = -1;
    size_t n = 0, fds = 0;
    TRY(sock_pair(pair));
    own_fd int ours = pair[0], theirs = pair[1];
    (void)fflush(NULL);
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        close_now(&ours);
        err *e = make_inside(&(struct inside){ s, userns_fd, theirs });
        if (e)
            err_ignore(sock_send(theirs, answer, err_encode(e, answer, sizeof answer), NULL, 0), "nobody listens");
        _exit(e ? 1 : 0);
    }
    close_now(&theirs);
    err *e = sock_recv(ours, answer, sizeof answer, &n, ret_mount_fd, 1, &fds);
    err_ignore(proc_wait(pidfd, -1, &status), "its answer says how it went");
    TRY(e);
    return fds == 1 ? NULL : n ? err_decode(answer, n) : err_new(ERR_UNAVAILABLE, PROGRAM ": no mount came");
}
