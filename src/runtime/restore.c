// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "namespaces/sysctl.h"
#include "os/fs.h"
#include "os/mount.h"
#include "os/root.h"
#include "os/sock.h"
#include "rootfs/options.h"
#include "runtime/criu.h"
#include "runtime/dump.h"

/* Where the container's group is in each hierarchy: CRIU keeps paths below it. */
static void add_groups(const struct cgroup *g, struct str *o)
{
    const char *name = NULL, *dir = NULL;
    bool v2 = false;
    for (size_t i = 0; g && cgroup_dir(g, i, &name, &dir, &v2); i++) {
        own_str struct str inner = { 0 };
        if (!v2)
            criu_text(&inner, 1, str_eq(name, "systemd") ? "name=systemd" : name);
        criu_text(&inner, 2, cgroup_path(g));
        criu_message(o, CRIU_CG_ROOT, &inner);
    }
}

struct restore {
    struct start *s;
    int pid;
};

/* The terminal's master is new: who had the old one gets it, by runc's console protocol or as ours to serve. */
static fallible hand_terminal(const struct runtime_create *c, int fd)
{
    static const char name[] = "/dev/console";
    if (fd < 0)
        return err_new(ERR_UNAVAILABLE, "restore: criu sent no terminal");
    if (c->console_sock >= 0)
        return sock_send(c->console_sock, name, sizeof name - 1, &fd, 1);
    if (!c->ret_console_fd)
        return err_new(ERR_INVALID, "restore: the container has a terminal: --console-socket says who gets it");
    *c->ret_console_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return *c->ret_console_fd < 0 ? err_sys(errno, "keep the terminal") : NULL;
}

static err *told(void *ctx, const struct criu_answer *a, int fd)
{
    struct restore *r = ctx;
    if (str_eq(a->script, "orphan-pts-master"))
        return hand_terminal(r->s->c, fd);
    if (str_eq(a->script, "post-restore") || str_eq(a->script, "post-namespaces") ||
        str_eq(a->script, "setup-namespaces"))
        r->pid = a->pid;
    return NULL;
}

/* CRIU has no other way than pivot_root(2), which the kernel refuses while the root is a mount with none below it, as
 * an initial RAM disk is. A copy of it on top of itself is one like any other. */
static fallible cover_root(void)
{
    own_fd int copy = -1;
    own_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_sys(errno, "open '/'");
    TRY(mount_copy(root, MOUNT_RECURSIVE, &copy));
    TRY(mount_place(copy, root));
    return fchdir(copy) < 0 || chroot(".") < 0 ? err_sys(errno, "enter the copy") : NULL;
}

static fallible mount_source(const struct runtime_create *c, const char *at)
{
    own_fd int root = -1;
    own_fd int place = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *label = c->spec->linux_ ? c->spec->linux_->mount_label : NULL;
    if (place < 0)
        return err_sys(errno, "open '%s'", at);
    TRY(source_mount(c->root, -1, false, label, &root));
    return mount_place(root, place);
}

static bool is_below_another(const struct oci_spec *spec, size_t i)
{
    const char *path = spec->mounts[i].destination;
    for (size_t k = 0; k < spec->mounts_n; k++) {
        const char *other = spec->mounts[k].destination;
        size_t n = strlen(other);
        if (k != i && strncmp(path, other, n) == 0 && path[n] == '/')
            return true;
    }
    return false;
}

static bool is_file_bind(const struct start *s, size_t i)
{
    struct stat st;
    const struct oci_mount *m = &s->c->spec->mounts[i];
    own_mem char *path = !m->source || *m->source == '/' || !s->c->bundle
                             ? mem_strdup(m->source)
                             : mem_printf("%s/%s", s->c->bundle, m->source);
    return s->root.options[i].bind && path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* CRIU wants them to be there. A start makes them, in a root that a restore may not be given: podman's and containerd's
 * archives have what the container wrote, and not what its runtime made. */
static fallible make_mount_points(const struct start *s, const char *root)
{
    const struct oci_spec *spec = s->c->spec;
    own_fd int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", root);
    for (size_t i = 0; i < spec->mounts_n; i++) {
        const struct oci_mount *m = &spec->mounts[i];
        own_fd int there = -1;
        if (is_below_another(spec, i))
            continue;
        TRY_AS(is_file_bind(s, i) ? root_touch(fd, m->destination, 0644, &there)
                                  : root_mkdirs(fd, m->destination, 0755, &there),
               "mount point '%s'", m->destination);
    }
    return NULL;
}

/* CRIU wants the root as a mount of its own. In a mount namespace of ours, so that it goes with us. */
static fallible mount_restore_root(const struct runtime_create *c, bool no_pivot, char **ret)
{
    own_mem char *at = mem_printf("%s/criu-root", c->staging ? c->staging : c->state_dir);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_sys(errno, "part from the host's mounts");
    if (no_pivot)
        TRY_AS(cover_root(), "--no-pivot: put a copy of the root on top of it");
    /* a slave of the host's, as the root was: CRIU wants the same */
    if (mkdir(at, 0700) < 0 && errno != EEXIST)
        return err_sys(errno, "make '%s'", at);
    if (c->root->kind != ROOTFS_DIR)
        TRY_AS(mount_source(c, at), "mount the root for the restore");
    else if (mount(c->root->dir, at, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_sys(errno, "mount '%s' for the restore", c->root->dir);
    *ret = take(at);
    return NULL;
}

/* A directory that was opened before: in this mount namespace, or CRIU could mount nothing in it. */
static fallible open_again(int fd, int *ret)
{
    own_mem char *path = fs_fd_path(fd);
    *ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret < 0 ? err_sys(errno, "open '%s'", path) : NULL;
}

/* What was outside is what config.json names now. */
static void give_outside(const struct namespaces *ns, int made_net, int fds[static ARRAY_SIZE(dump_outside)],
                         struct str *o)
{
    for (size_t i = 0; i < ARRAY_SIZE(dump_outside); i++) {
        own_str struct str inner = { 0 };
        fds[i] = namespaces_join_fd(ns, dump_outside[i].type);
        if (fds[i] < 0 && dump_outside[i].flag == CLONE_NEWNET)
            fds[i] = made_net;
        if (fds[i] < 0)
            continue;
        criu_text(&inner, 1, dump_outside[i].key);
        criu_number(&inner, 2, (uint64_t)fds[i]);
        criu_message(o, CRIU_INHERIT_FD, &inner);
    }
}

/* CRIU leaves keyrings alone: what it restores has ours. As a start, which gives each container one. */
static fallible part_from_keyring(void)
{
    enum { POSSESSOR_ALL = 0x3f000000, USER_VIEW_READ_SEARCH = 0x000b0000 };
    long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    if (ring < 0)
        return errno == ENOSYS ? NULL : err_sys(errno, "make a session keyring");
    (void)syscall(SYS_keyctl, KEYCTL_SETPERM, ring, POSSESSOR_ALL | USER_VIEW_READ_SEARCH);
    return NULL;
}

static fallible call_restore(struct start *s, const struct runtime_criu *asked, const char *root, struct restore *r)
{
    own_str struct str o = { 0 };
    own_fd int images = -1;
    own_fd int work = -1;
    int inherited[ARRAY_SIZE(dump_outside) + 3];
    struct criu_answer answer = { 0 };
    struct runtime_criu how = *asked;
    TRY(open_again(asked->images_fd, &images));
    TRY(open_again(asked->work_fd, &work));
    how.images_fd = images;
    how.work_fd = work;
    TRY(dump_add_options(&how, RESTORE_LOG, &o));
    criu_text(&o, CRIU_ROOT, root);
    criu_number(&o, CRIU_RST_SIBLING, 1);
    add_groups(s->cgroup, &o);
    for (int i = 0; i < 3; i++)
        inherited[ARRAY_SIZE(dump_outside) + i] = s->c->stdio[i];
    dump_add_descriptors(how.images_fd, s->c->stdio, &o);
    give_outside(&s->ns, s->netns_fd, inherited, &o);
    const struct criu_call c = {
        .program = how.program ? how.program : "criu",
        .type = CRIU_RESTORE,
        .options = &o,
        .group = s->cgroup,
        .inherit_fds = inherited,
        .inherit_fds_n = ARRAY_SIZE(inherited),
        .work_fd = how.work_fd,
        .log = RESTORE_LOG,
        .notify = told,
        .ctx = r,
    };
    TRY(criu_run(&c, &answer));
    r->pid = answer.pid ? answer.pid : r->pid;
    return r->pid > 0 ? NULL : err_new(ERR_UNAVAILABLE, "restore: criu named no process");
}

/* A CRIU that was built without libselinux (Debian's) restores a process under its own label, and says nothing. */
static fallible check_label(const struct start *s)
{
    const char *label = s->c->spec->process->selinux_label;
    own_mem char *path = mem_printf("/proc/%d/attr/current", s->state.init.pid), *now = NULL;
    if (!label || !*label)
        return NULL;
    TRY_AS(fs_read_at(AT_FDCWD, path, 4096, &now, NULL), "label of the restored process");
    now[strcspn(now, "\n")] = '\0';
    return str_eq(now, label) ? NULL
                              : err_new(ERR_UNSUPPORTED,
                                        "restore: CRIU gave the process the SELinux label '%s', not "
                                        "process.selinuxLabel '%s': this needs a CRIU that is built with libselinux",
                                        now, label);
}

/* ---- a network namespace for what had one of its own ---- */

static fallible furnish_netns(const struct oci_spec *spec)
{
    TRY(namespaces_loopback_up());
    for (size_t i = 0; spec->linux_ && i < spec->linux_->sysctl.n; i++) {
        own_mem char *path = sysctl_path(spec->linux_->sysctl.items[i].key);
        own_mem char *whole = mem_printf("/proc/%s", path);
        const char *value = spec->linux_->sysctl.items[i].value;
        if (str_starts(path, "sys/net/")) /* the others are CRIU's to restore */
            TRY_AS(fs_write_at(AT_FDCWD, whole, value), "sysctl '%s'", spec->linux_->sysctl.items[i].key);
    }
    return NULL;
}

/* A process that is gone when the namespace is open. It says nothing, or an error. */
static fallible make_netns(const struct runtime_create *c, int *ret)
{
    char answer[ERR_ENCODED_MAX];
    int pair[2];
    pid_t pid = 0;
    own_fd int pidfd = -1;
    TRY(sock_pair(pair));
    own_fd int ours = pair[0];
    own_fd int theirs = pair[1];
    TRY(proc_clone(CLONE_NEWNET, -1, &pid, &pidfd));
    if (pid == 0) {
        close_now(&ours);
        err *e = furnish_netns(c->spec);
        size_t n = e ? err_encode(e, answer, sizeof answer) : 1;
        answer[0] = e ? answer[0] : 0;
        err_ignore(sock_send(theirs, answer, n, NULL, 0), "who asked is gone");
        (void)read(theirs, answer, 1); /* until the namespace is open there */
        _exit(0);
    }
    close_now(&theirs);
    size_t n = 0, fds = 0;
    int status;
    err *e = sock_recv(ours, answer, sizeof answer, &n, NULL, 0, &fds);
    if (!e && n != 1)
        e = n ? err_decode(answer, n) : err_new(ERR_UNAVAILABLE, "who makes a network namespace is gone");
    if (!e)
        e = network_open_netns(pid, ret);
    close_now(&ours);
    err_ignore(proc_wait(pidfd, -1, &status), "it has answered");
    return e;
}

static fallible connect_anew(struct start *s)
{
    if (s->c->cni || s->c->pasta)
        return err_new(ERR_UNSUPPORTED, "restore: a network of pasta or of CNI plugins is not made again");
    if (!(s->ns.create & CLONE_NEWNET))
        return NULL;
    TRY_AS(make_netns(s->c, &s->netns_fd), "make the network namespace");
    return s->c->network ? network_connect(s->c->network, s->netns_fd, s->dir_fd) : NULL;
}

static fallible restore(struct start *s, const struct runtime_criu *how, struct restore *r)
{
    own_mem char *root = NULL;
    own_fd int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return err_sys(errno, "open our mount namespace");
    TRY_AS(fs_open_dir_at(AT_FDCWD, s->c->state_dir, FS_MUST_EXIST, &s->dir_fd), "state directory");
    TRY(state_write(s->dir_fd, &s->state));
    if (s->cgroup_path)
        TRY(start_make_group(s));
    if (how->anew)
        TRY_AS(connect_anew(s), "connect to the network");
    if (how->anew && !s->c->no_new_keyring)
        TRY(part_from_keyring());
    err *e = mount_restore_root(s->c, how->no_pivot, &root);
    if (!e)
        e = make_mount_points(s, root);
    if (!e)
        e = call_restore(s, how, root, r);
    if (root)
        (void)umount2(root, MNT_DETACH);
    if (setns(home, CLONE_NEWNS) < 0 && !e) /* the host's mounts are not ours to keep */
        e = err_sys(errno, "go back to the host's mounts");
    if (root)
        (void)rmdir(root);
    scope_hold_clear(&s->hold); /* what was restored is in the scope, or nothing is */
    TRY(e);
    TRY(proc_identify(r->pid, &s->state.init));
    TRY(proc_pidfd(r->pid, &s->run.pidfd));
    TRY(check_label(s));
    if (how->anew)
        TRY(dump_check_rights(r->pid, how->images_fd));
    if (s->cgroup && !s->state.cgroup_text)
        s->state.cgroup_text = cgroup_text(s->cgroup);
    s->state.status = RUNTIME_RUNNING;
    return state_write(s->dir_fd, &s->state);
}

fallible runtime_restore(const struct runtime_create *c, const struct runtime_criu *how, struct runtime_created *ret)
{
    struct start s;
    struct restore r = { .s = &s };
    *ret = (struct runtime_created){ .pidfd = -1 };
    if (geteuid() != 0)
        return err_new(ERR_DENIED, "cannot restore container '%s': CRIU needs root", c->id);
    if (c->root->idmap || c->root->fuse)
        return err_new(ERR_UNSUPPORTED,
                       "cannot restore container '%s': CRIU has no mounts that show other owners (--userns)", c->id);
    err *e = start_plan(&s, c);
    s.run.pidfd = -1;
    if (!e && s.ns.shares_mounts)
        e = err_new(ERR_UNSUPPORTED, "restore: CRIU makes the mounts: a container needs a mount namespace of its own");
    if (!e)
        e = restore(&s, how, &r);
    if (!e) {
        struct timespec now = { 0 };
        (void)clock_gettime(CLOCK_REALTIME, &now);
        ret->started_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
        ret->init = s.state.init;
        ret->pidfd = take_fd(&s.run.pidfd);
        ret->cgroup_path = mem_strdup(s.cgroup_path);
        ret->cgroup_text = mem_strdup(s.state.cgroup_text);
        ret->live = mem_zalloc(sizeof *ret->live);
        ret->live->dir_fd = take_fd(&s.dir_fd);
        ret->live->cgroup = take(s.cgroup);
        ret->live->state = s.state;
        s.state = (struct runtime_state){ 0 };
    } else if (s.dir_fd >= 0) {
        close_now(&s.run.pidfd);
        scope_hold_clear(&s.hold);
        if (c->network)
            err_ignore(firewall_withdraw(s.dir_fd, NULL), "the restore's error matters more");
        err_ignore(state_remove(s.dir_fd, &s.state, s.cgroup), "the restore's error matters more");
    }
    start_clear(&s);
    return e;
}
