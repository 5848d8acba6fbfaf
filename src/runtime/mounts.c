// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fs.h"
#include "os/sock.h"
#include "runtime/start.h"

struct live {
    const struct oci_spec *spec;
    enum runtime_mounts how;
    struct rootfs root;
    int init_fd, root_fd;
    int flags; /* namespaces to join */
};

static bool is_own(pid_t pid, const char *kind)
{
    char path[48], own[48];
    struct stat theirs, ours;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
    (void)snprintf(own, sizeof own, "/proc/self/ns/%s", kind);
    return stat(path, &theirs) == 0 && stat(own, &ours) == 0 && theirs.st_ino == ours.st_ino;
}

/* In a process of its own: it does not come back from the container's namespaces. */
static fallible work(struct live *l)
{
    if (setns(l->init_fd, l->flags) < 0)
        return err_sys(errno, "join the container's namespaces");
    return l->how == RUNTIME_MOUNTS_ADD ? rootfs_live_mount(&l->root, l->root_fd)
                                        : rootfs_live_unmount(l->spec, l->root_fd);
}

static fallible work_inside(struct live *l)
{
    int pair[2], status = 0;
    pid_t pid = 0;
    own_fd int pidfd = -1;
    TRY(sock_pair(pair));
    own_fd int ours = pair[0];
    own_fd int theirs = pair[1];
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        err *e = work(l);
        if (e)
            steps_send_error(theirs, e);
        _exit(e != NULL);
    }
    close_now(&theirs);
    err *e = steps_wait(ours, NULL, NULL);
    err_ignore(proc_wait(pidfd, -1, &status), "it has said all it had to say");
    if (!e && proc_exit_code(status) != 0)
        return err_new(ERR_UNAVAILABLE, "the process that was to mount ended by itself: %d", proc_exit_code(status));
    return e;
}

static fallible open_live(const struct runtime_state *s, struct live *l)
{
    own_fd int userns = -1;
    char path[48];
    TRY(proc_open(s->init, &l->init_fd));
    (void)snprintf(path, sizeof path, "/proc/%d/root", (int)s->init.pid);
    l->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (l->root_fd < 0)
        return err_sys(errno, "open '%s'", path);
    bool own_userns = !is_own(s->init.pid, "user");
    l->flags = CLONE_NEWNS | (own_userns ? CLONE_NEWUSER : 0);
    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)s->init.pid);
    if (own_userns && (userns = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return err_sys(errno, "open '%s'", path);
    TRY(rootfs_init(&l->root, l->spec, NULL));
    l->root.bundle = s->bundle;
    l->root.userns = own_userns;
    return l->how == RUNTIME_MOUNTS_ADD ? rootfs_live_prepare(&l->root, userns) : NULL;
}

fallible runtime_mounts(const char *state_dir, const struct oci_spec *spec, enum runtime_mounts how)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int dir = -1;
    own_fd int lock = -1;
    struct live l = { .spec = spec, .how = how, .init_fd = -1, .root_fd = -1 };
    TRY(state_open_locked(state_dir, &s, &dir, &lock));
    if (s->status == RUNTIME_STOPPED || s->status == RUNTIME_CREATING)
        return err_new(ERR_CONFLICT, "cannot mount into container '%s': it is %s", s->id,
                       runtime_status_word(s->status));
    if (s->shares_mounts)
        return err_new(ERR_UNSUPPORTED, "cannot mount into container '%s': its mount namespace is another's", s->id);
    err *e = open_live(s, &l);
    if (!e)
        e = work_inside(&l);
    l.root.root_fd = -1; /* l's */
    rootfs_clear(&l.root);
    close_now(&l.init_fd);
    close_now(&l.root_fd);
    return e;
}
