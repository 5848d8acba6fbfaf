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

#include "base/parse.h"
#include "namespaces/sysctl.h"
#include "os/fs.h"
#include "os/mount.h"
#include "os/root.h"
#include "os/sock.h"
#include "rootfs/options.h"
#include "runtime/criu.h"
#include "runtime/start.h"

#define DUMP_LOG    "dump.log"
#define RESTORE_LOG "restore.log"

static const struct {
    const char *word;
    unsigned number;
} cgroup_modes[] = { { "ignore", 0 }, { "soft", 3 }, { "full", 4 }, { "strict", 5 } },
  network_locks[] = { { "iptables", 1 }, { "nftables", 2 }, { "skip", 3 } };

static fallible add_page_server(const char *text, struct str *o)
{
    own_str struct str inner = { 0 };
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (!colon || colon == text)
        return err_new(ERR_INVALID, "--page-server: '%s' is not ADDRESS:PORT", text);
    TRY_AS(parse_u64(colon + 1, 65535, &port), "--page-server");
    own_mem char *address = mem_strndup(text, (size_t)(colon - text));
    criu_text(&inner, 1, address);
    criu_number(&inner, 2, port);
    criu_message(o, CRIU_PAGE_SERVER, &inner);
    return NULL;
}

/* What both directions have in common. */
static fallible add_options(const struct runtime_criu *how, const char *log, struct str *o)
{
    const char *mode = how->cgroups_mode && *how->cgroups_mode ? how->cgroups_mode : "soft";
    const char *lock = how->network_lock ? how->network_lock : "";
    const struct {
        enum criu_field field;
        bool set;
    } flags[] = {
        { CRIU_LEAVE_RUNNING, how->leave_running },
        { CRIU_EXT_UNIX_SK, how->ext_unix_sk },
        { CRIU_TCP_ESTABLISHED, how->tcp_established },
        { CRIU_TCP_CLOSE, how->tcp_close },
        { CRIU_SHELL_JOB, how->shell_job },
        { CRIU_FILE_LOCKS, how->file_locks },
        { CRIU_LINK_REMAP, how->link_remap },
        { CRIU_AUTO_DEDUP, how->auto_dedup },
        { CRIU_LAZY_PAGES, how->lazy_pages },
        { CRIU_TRACK_MEM, how->pre_dump || how->parent }, /* a parent is compared by the pages' soft-dirty bits */
        { CRIU_NOTIFY_SCRIPTS, true },
        { CRIU_ORPHAN_PTS_MASTER, true },
        { CRIU_AUTO_EXT_MNT, true },
        { CRIU_EXT_SHARING, true },
        { CRIU_EXT_MASTERS, true },
        { CRIU_MANAGE_CGROUPS, true },
    };
    bool known_mode = false, known_lock = !*lock; /* "": CRIU's own */
    criu_number(o, CRIU_IMAGES_DIR_FD, (uint64_t)how->images_fd);
    criu_number(o, CRIU_WORK_DIR_FD, (uint64_t)how->work_fd);
    criu_number(o, CRIU_LOG_LEVEL, 4);
    criu_text(o, CRIU_LOG_FILE, log);
    criu_text(o, CRIU_PARENT_IMG, how->parent);
    criu_text(o, CRIU_LSM_PROFILE, how->lsm_profile);
    criu_text(o, CRIU_LSM_MOUNT_CONTEXT, how->lsm_mount_context);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (flags[i].set)
            criu_number(o, flags[i].field, 1);
    for (size_t i = 0; i < ARRAY_SIZE(cgroup_modes); i++)
        if (str_eq(mode, cgroup_modes[i].word) && (known_mode = true))
            criu_number(o, CRIU_MANAGE_CGROUPS_MODE, cgroup_modes[i].number);
    for (size_t i = 0; i < ARRAY_SIZE(network_locks); i++)
        if (str_eq(lock, network_locks[i].word) && (known_lock = true))
            criu_number(o, CRIU_NETWORK_LOCK, network_locks[i].number);
    if (!known_mode)
        return err_new(ERR_INVALID, "--manage-cgroups-mode: '%s': soft, full, strict or ignore", mode);
    if (!known_lock)
        return err_new(ERR_INVALID, "--network-lock: '%s': nftables, iptables or skip", lock);
    if (how->empty_net)
        criu_number(o, CRIU_EMPTY_NS, CLONE_NEWNET);
    if (how->status_fd >= 0)
        criu_number(o, CRIU_STATUS_FD, (uint64_t)how->status_fd);
    return how->page_server ? add_page_server(how->page_server, o) : NULL;
}

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

/* What standard input, output and error were, beside the images: pipes among them lead outside. runc's file, and form.
 */
#define DESCRIPTORS "descriptors.json"

/* CRIU's name for an open file that is not the container's: "file[MOUNT:INODE]", in hexadecimal; NULL for another. */
static char *outside_file(pid_t pid, int fd)
{
    struct stat st;
    own_mem char *file = mem_printf("/proc/%d/fd/%d", (int)pid, fd),
                 *info = mem_printf("/proc/%d/fdinfo/%d", (int)pid, fd);
    own_mem char *text = NULL;
    if (stat(file, &st) < 0 || !S_ISFIFO(st.st_mode))
        return NULL;
    err_ignore(fs_read_at(AT_FDCWD, info, 4096, &text, NULL), "then CRIU says what is in the way");
    const char *mount = text ? strstr(text, "mnt_id:") : NULL;
    if (!mount)
        return NULL;
    return mem_printf("file[%lx:%lx]", strtoul(mount + strlen("mnt_id:"), NULL, 10), (unsigned long)st.st_ino);
}

/* What a program may, as the kernel says it: an older CRIU leaves some of it out and says nothing. */
static fallible read_rights(pid_t pid, struct str *ret)
{
    static const char *const names[] = { "Cap", "NoNewPrivs:", "Seccomp", "Uid:", "Gid:", "Groups:" };
    own_mem char *path = mem_printf("/proc/%d/status", (int)pid), *text = NULL;
    TRY(fs_read_at(AT_FDCWD, path, 65536, &text, NULL));
    for (const char *line = text; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL))
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            if (str_starts(line, names[i]))
                str_printf(ret, "%.*s\n", (int)strcspn(line, "\n"), line);
    return NULL;
}
#define RIGHTS "rights" /* beside the images */

static fallible keep_rights(pid_t pid, int images_fd)
{
    own_str struct str rights = { 0 };
    TRY(read_rights(pid, &rights));
    return fs_replace_at(images_fd, RIGHTS, rights.text, rights.len, 0600, FS_SYNC_NONE);
}

/* The first line that differs is what CRIU did not restore. */
static fallible check_rights(pid_t pid, int images_fd)
{
    own_str struct str now = { 0 };
    own_mem char *was = NULL;
    TRY_AS(fs_read_at(images_fd, RIGHTS, 65536, &was, NULL), "what the program might do");
    TRY(read_rights(pid, &now));
    size_t at = 0, line = 0;
    for (; was[at] && was[at] == now.text[at]; at++)
        line = was[at] == '\n' ? at + 1 : line;
    if (str_eq(was, now.text))
        return NULL;
    return err_new(ERR_UNSUPPORTED,
                   "restore: CRIU gave the program '%.*s' where it had '%.*s': this needs a newer CRIU",
                   (int)strcspn(now.text + line, "\n"), now.text + line, (int)strcspn(was + line, "\n"), was + line);
}

static fallible keep_descriptors(const struct runtime_state *s, bool anew, int images_fd, struct str *o)
{
    own_json json_t *list = json_array();
    for (int i = 0; i < 3; i++) {
        char path[48], to[256] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)s->init.pid, i);
        if (readlink(path, to, sizeof to - 1) < 0)
            to[0] = '\0';
        own_mem char *file = anew && to[0] == '/' ? outside_file(s->init.pid, i) : NULL;
        criu_text(o, CRIU_EXTERNAL, file);
        json_array_append_new(list, json_string(file ? file : to));
    }
    own_mem char *text = json_text(list, BIND_COMPACT);
    return fs_replace_at(images_fd, DESCRIPTORS, text, strlen(text), 0600, FS_SYNC_NONE);
}

/* Ours take the place of those pipes. */
static void add_descriptors(int images_fd, const int fds[static 3], struct str *o)
{
    own_mem char *text = NULL;
    own_json json_t *list = NULL;
    size_t n = 0;
    err *e = fs_read_at(images_fd, DESCRIPTORS, 65536, &text, &n);
    if (!e)
        e = json_parse(DESCRIPTORS, text, n, &list);
    err_ignore(e, "images of another runtime may have none");
    for (size_t i = 0; i < 3 && list; i++) {
        const char *was = json_string_value(json_array_get(list, i));
        own_str struct str inner = { 0 };
        if (!was || !(str_starts(was, "pipe:") || str_starts(was, "file[")))
            continue;
        criu_text(&inner, 1, was);
        criu_number(&inner, 2, fds[i] >= 0 ? (unsigned)fds[i] : i);
        criu_message(o, CRIU_INHERIT_FD, &inner);
    }
}

/* Namespaces of others, named by path in config.json: they are not written down, and must be there again for a restore.
 * The keys are runc's. CRIU has the like for no other type. */
static const struct {
    uint64_t flag;
    const char *type, *file, *key;
} outside[] = { { CLONE_NEWNET, "network", "net", "extRootNetNS" }, { CLONE_NEWPID, "pid", "pid", "extRootPidNS" } };

static fallible add_outside(const struct runtime_state *s, bool anew, struct str *o)
{
    uint64_t left = s->joined | (anew ? s->namespaces & CLONE_NEWNET : 0);
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        char path[48];
        struct stat st;
        if (!(left & outside[i].flag))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)s->init.pid, outside[i].file);
        if (stat(path, &st) < 0)
            return err_sys(errno, "look at '%s'", path);
        own_mem char *text = mem_printf("%s[%llu]:%s", outside[i].file, (unsigned long long)st.st_ino, outside[i].key);
        criu_text(o, CRIU_EXTERNAL, text);
    }
    return NULL;
}

/* Who is frozen cannot be stopped one by one, as CRIU does otherwise: it is told of the freezer, and leaves what it
 * lets live as it was. containerd pauses before each checkpoint. */
static fallible add_freezer(const struct runtime_state *s, struct str *o)
{
    own(cgroup) struct cgroup *g = NULL;
    const char *name = NULL, *dir = NULL, *freezer = NULL;
    bool v2 = false;
    TRY(state_cgroup(s, &g));
    for (size_t i = 0; g && cgroup_dir(g, i, &name, &dir, &v2); i++)
        if (v2 || (str_eq(name, "freezer") && !freezer))
            freezer = dir;
    criu_text(o, CRIU_FREEZE_CGROUP, freezer);
    return NULL;
}

static err *told_of_dump(void *ctx, const struct criu_answer *a, int fd)
{
    const struct runtime_criu *how = ctx;
    return str_eq(a->script, "post-dump") && how->written ? how->written(how->ctx) : NULL;
}

fallible runtime_checkpoint(const char *state_dir, const struct runtime_criu *how)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int dir = -1;
    own_fd int lock = -1;
    own_str struct str o = { 0 };
    struct criu_answer answer = { 0 };
    TRY(state_open_locked(state_dir, &s, &dir, &lock));
    if (s->status != RUNTIME_RUNNING && s->status != RUNTIME_PAUSED)
        return err_new(ERR_CONFLICT, "cannot checkpoint container '%s': it is %s", s->id,
                       runtime_status_word(s->status));
    if (s->shares_mounts)
        return err_new(ERR_UNSUPPORTED, "cannot checkpoint container '%s': its mount namespace is another's", s->id);
    if (geteuid() != 0)
        return err_new(ERR_DENIED, "cannot checkpoint container '%s': CRIU needs root", s->id);
    TRY(add_options(how, DUMP_LOG, &o));
    TRY(add_outside(s, how->anew, &o));
    if (s->status == RUNTIME_PAUSED)
        TRY(add_freezer(s, &o));
    TRY(keep_descriptors(s, how->anew, how->images_fd, &o));
    if (how->anew)
        TRY(keep_rights(s->init.pid, how->images_fd));
    criu_number(&o, CRIU_PID, (uint64_t)s->init.pid);
    const struct criu_call c = {
        .program = how->program ? how->program : "criu",
        .type = how->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP,
        .options = &o,
        .work_fd = how->work_fd,
        .log = DUMP_LOG,
        .notify = told_of_dump,
        .ctx = (void *)(uintptr_t)how,
    };
    return criu_run(&c, &answer);
}

/* ---- restoring ---- */

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
static void give_outside(const struct namespaces *ns, int made_net, int fds[static ARRAY_SIZE(outside)], struct str *o)
{
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        own_str struct str inner = { 0 };
        fds[i] = namespaces_join_fd(ns, outside[i].type);
        if (fds[i] < 0 && outside[i].flag == CLONE_NEWNET)
            fds[i] = made_net;
        if (fds[i] < 0)
            continue;
        criu_text(&inner, 1, outside[i].key);
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
    int inherited[ARRAY_SIZE(outside) + 3];
    struct criu_answer answer = { 0 };
    struct runtime_criu how = *asked;
    TRY(open_again(asked->images_fd, &images));
    TRY(open_again(asked->work_fd, &work));
    how.images_fd = images;
    how.work_fd = work;
    TRY(add_options(&how, RESTORE_LOG, &o));
    criu_text(&o, CRIU_ROOT, root);
    criu_number(&o, CRIU_RST_SIBLING, 1);
    add_groups(s->cgroup, &o);
    for (int i = 0; i < 3; i++)
        inherited[ARRAY_SIZE(outside) + i] = s->c->stdio[i];
    add_descriptors(how.images_fd, s->c->stdio, &o);
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
        TRY(check_rights(r->pid, how->images_fd));
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
