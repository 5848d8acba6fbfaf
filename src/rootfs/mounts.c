// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/root.h"
#include "rootfs/rootfs_parts.h"

fallible mount_apply(int mount_fd, const struct mount_options *o)
{
    if (o->set || o->clear)
        TRY(mount_set(mount_fd, MOUNT_ONE, o->set, o->clear, 0));
    if (o->set_below || o->clear_below)
        TRY(mount_set(mount_fd, MOUNT_RECURSIVE, o->set_below, o->clear_below, 0));
    return NULL;
}

static fallible mount_propagate(int mount_fd, const struct mount_options *o)
{
    if (!o->propagation)
        return NULL;
    return mount_set(mount_fd, o->propagation_depth, 0, 0, o->propagation);
}

static fallible bind_source_path(const struct rootfs *r, const struct oci_mount *m, char **ret)
{
    if (!m->source || !*m->source)
        return err_new(ERR_INVALID, "a bind mount without a source");
    if (m->source[0] == '/' || !r->bundle)
        *ret = mem_strdup(m->source);
    else
        *ret = mem_printf("%s/%s", r->bundle, m->source);
    return NULL;
}

/* What is in there was written by containers: no link of theirs leads out of it. */
static fallible copy_beneath(const struct oci_mount *m, enum mount_depth depth, int *ret_mount_fd)
{
    own_fd int top = -1;
    own_fd int at = -1;
    if (!str_starts(m->source, m->beneath))
        return err_new(ERR_INVALID, "the source '%s' is not in '%s'", m->source, m->beneath);
    TRY(fs_open_dir_at(AT_FDCWD, m->beneath, FS_MUST_EXIST, &top));
    TRY_AS(root_open(top, m->source + strlen(m->beneath), O_PATH, &at), "'%s'", m->source);
    return mount_copy(at, depth, ret_mount_fd);
}

fallible bind_copy(const struct rootfs *r, size_t i, int userns_fd, int *ret_mount_fd)
{
    const struct oci_mount *m = &r->spec->mounts[i];
    const struct mount_options *o = &r->options[i];
    own_fd int fd = -1;
    own_fd int maps_fd = -1;
    own_mem char *path = NULL;
    TRY(bind_source_path(r, m, &path));
    pid_t pid;
    const char *inside;
    if (m->beneath)
        TRY(copy_beneath(m, o->bind_depth, &fd));
    else if (mount_path_of_process(path, &pid, &inside))
        TRY(mount_copy_of_process(pid, inside, o->bind_depth, &fd));
    else
        TRY(mount_copy_path(path, o->bind_depth, &fd));
    if (o->idmap || m->uid_mappings_n) {
        if (o->idmap_text)
            TRY_AS(userns_for_words(r, o->idmap_text, &maps_fd), "idmap=%s", o->idmap_text);
        else if (m->uid_mappings_n)
            TRY(userns_for_maps(m, &maps_fd));
        else if (userns_fd < 0)
            return err_new(ERR_INVALID, "idmap: there are no uidMappings, and the container has no user namespace");
        TRY(mount_idmap(fd, maps_fd >= 0 ? maps_fd : userns_fd, o->idmap ? o->idmap_depth : MOUNT_ONE));
    }
    TRY(mount_apply(fd, o));
    *ret_mount_fd = take_fd(&fd);
    return NULL;
}

static fallible is_directory(int fd, bool *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at the source");
    *ret = S_ISDIR(st.st_mode);
    return NULL;
}

static bool is_procfs(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* Something else at /proc could take a write that the kernel was meant to get (CVE-2019-19921). */
static fallible check_is_proc(const struct oci_mount *m, int mount_fd)
{
    own_mem char *path = path_normal(m->destination);
    if (str_eq(path, "/proc") && !is_procfs(mount_fd))
        return err_new(ERR_INVALID, "only a proc file system may be mounted there");
    return NULL;
}

static fallible mount_bind(struct rootfs *r, size_t i)
{
    const struct oci_mount *m = &r->spec->mounts[i];
    own_fd int fd = take_fd(&r->prepared[i]);
    own_fd int target = -1;
    bool dir = false;
    if (fd < 0)
        TRY(bind_copy(r, i, -1, &fd));
    TRY(is_directory(fd, &dir));
    TRY(check_is_proc(m, fd));
    TRY(target_open(r, m, dir ? TARGET_DIRECTORY : TARGET_FILE, &target));
    TRY(mount_place(fd, target));
    return mount_propagate(fd, &r->options[i]);
}

/* Which of the kernel's four the label is: crun's annotation, which podman writes. Source: mount(8). */
static const char *context_word(const struct rootfs *r)
{
    static const char *const words[] = { "fscontext", "defcontext", "rootcontext" };
    const char *asked = strmap_get(&r->spec->annotations, "run.oci.mount_context_type");
    for (size_t i = 0; asked && i < ARRAY_SIZE(words); i++)
        if (str_eq(asked, words[i]))
            return words[i];
    return "context";
}

static void selinux_context(const struct rootfs *r, const struct oci_mount *m, struct str *data)
{
    static const char *const labelled[] = { "tmpfs", "devpts", "ramfs" };
    const char *label = mount_label(r);
    if (!label || (data->text && strstr(data->text, "context=")))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(labelled); i++) {
        if (str_eq(m->type, labelled[i])) {
            /* quoted: an SELinux label may hold commas ("s0:c1,c2") */
            str_printf(data, "%s%s=\"%s\"", data->len ? "," : "", context_word(r), label);
        }
    }
}

/* The ipc namespace has made its mqueue already, without a label: "context=" is refused for it, a file's label is not.
 * A policy that labels no mqueue leaves it as it is. */
static fallible label_mqueue(const struct rootfs *r, const struct oci_mount *m, int mount_fd)
{
    const char *label = mount_label(r);
    if (!label || !str_eq(m->type, "mqueue"))
        return NULL;
    own_fd int dir = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || (fsetxattr(dir, "security.selinux", label, strlen(label) + 1, 0) < 0 && errno != EOPNOTSUPP))
        return err_sys(errno, "label it '%s'", label);
    return NULL;
}

static bool has_option(const char *data, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = data; at && *at; at += *at == ',')
        if (strncmp(at, name, n) == 0)
            return true;
        else
            at += strcspn(at, ",");
    return false;
}

static bool takes_mode(const struct oci_mount *m, const struct mount_options *o)
{
    return str_eq(m->type, "tmpfs") && !has_option(o->data.text, "mode=");
}

/* A tmpfs that is not told its mode has that of the directory below it, as under other runtimes: /run is not to become
 * everybody's to write to because nothing of the image stays there. One that is made for it is what the kernel's
 * default would be. */
static fallible mode_of_target(int target, struct str *data)
{
    struct stat st;
    if (fstat(target, &st) < 0)
        return err_sys(errno, "look at the mount point");
    str_printf(data, "%smode=%o", data->len ? "," : "", st.st_mode & 07777U);
    return NULL;
}

/* A new file system on a directory. A read-only tmpfs for /dev is filled first and closed by rootfs_protect(). */
static fallible make_new(const struct rootfs *r, size_t i, int target, int *ret_mount_fd)
{
    const struct oci_mount *m = &r->spec->mounts[i];
    const struct mount_options *o = &r->options[i];
    own_str struct str data = { 0 };
    own_mem char *path = path_normal(m->destination);
    bool filled = o->tmpcopyup || str_eq(path, "/dev");
    uint64_t attrs = (o->set | o->set_below) & ~(filled ? (uint64_t)MOUNT_ATTR_RDONLY : 0);
    if (o->data.text)
        str_add(&data, o->data.text);
    if (takes_mode(m, o))
        TRY(mode_of_target(target, &data));
    selinux_context(r, m, &data);
    return mount_make_data(m->type, m->source && *m->source ? m->source : m->type, data.text, attrs, ret_mount_fd);
}

/*
 * An ordinary user may mount sysfs only with a network namespace of their own, and proc only with a pid namespace:
 * then the host's is shown, as it is already visible to them; sysfs read-only.
 */
static fallible mount_hosts_own(const struct rootfs *r, size_t i, err *take_why, int *ret_mount_fd)
{
    const struct oci_mount *m = &r->spec->mounts[i];
    const char *host = str_eq(m->type, "sysfs") ? "/sys" : str_eq(m->type, "proc") ? "/proc" : NULL;
    if (!host || !r->userns || err_errno(take_why) != EPERM)
        return take_why;
    if (str_eq(m->type, "proc") && oci_spec_namespace(r->spec, "pid"))
        log_info("/proc: the kernel makes a new one only where nothing hides parts of the old, as in a container: it "
                 "shows the processes outside as well, with their numbers there");
    log_debug("%s: the host's is shown: %s", m->destination, err_text(take_why));
    err_free(take_why);
    own_fd int fd = -1;
    uint64_t ro = str_eq(m->type, "sysfs") ? MOUNT_ATTR_RDONLY : 0;
    TRY(mount_copy_path(host, MOUNT_RECURSIVE, &fd));
    TRY(mount_set(fd, MOUNT_RECURSIVE, ro | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0, 0));
    *ret_mount_fd = take_fd(&fd);
    return NULL;
}

static fallible mount_new(struct rootfs *r, size_t i)
{
    const struct oci_mount *m = &r->spec->mounts[i];
    own_fd int target = -1;
    own_fd int fd = -1;
    TRY(target_open(r, m, takes_mode(m, &r->options[i]) ? TARGET_OPEN_DIRECTORY : TARGET_DIRECTORY, &target));
    err *e = make_new(r, i, target, &fd);
    if (e)
        TRY(mount_hosts_own(r, i, e, &fd));
    TRY(check_is_proc(m, fd));
    TRY(label_mqueue(r, m, fd));
    if (r->options[i].tmpcopyup)
        TRY_AS(copy_up(target, fd), "tmpcopyup");
    if (r->options[i].tmpcopyup && (r->options[i].set | r->options[i].set_below) & MOUNT_ATTR_RDONLY)
        TRY(mount_set(fd, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0));
    TRY(mount_place(fd, target));
    return mount_propagate(fd, &r->options[i]);
}

bool mount_is_layered(const struct oci_mount *m)
{
    for (size_t i = 0; str_eq(m->type, "overlay") && i < m->options.n; i++)
        if (str_starts(m->options.items[i], "upperdir=/") || str_starts(m->options.items[i], "lowerdir=/"))
            return true;
    return false;
}

/* "/a:/b", topmost first; a directory with a colon in its name stands alone. */
static void add_lowers(struct strv *lowers, const char *text)
{
    if (access(text, F_OK) == 0)
        strv_add(lowers, text);
    else
        strv_split(lowers, text, ':');
}

fallible layered_mount(const struct rootfs *r, size_t i, int userns_fd, bool in_userns, int *ret_mount_fd)
{
    const struct oci_mount *m = &r->spec->mounts[i];
    struct rootfs_source s = { .kind = ROOTFS_OVERLAY };
    const char *label = mount_label(r);
    for (size_t k = 0; k < m->options.n; k++) {
        const char *word = m->options.items[k];
        if (str_starts(word, "lowerdir="))
            add_lowers(&s.lowers, word + strlen("lowerdir="));
        else if (str_starts(word, "upperdir=") && !s.upper)
            s.upper = mem_strdup(word + strlen("upperdir="));
        else if (str_starts(word, "workdir=") && !s.work)
            s.work = mem_strdup(word + strlen("workdir="));
    }
    s.idmap = r->options[i].idmap;
    err *e = s.lowers.n && !s.upper == !s.work
                 ? source_mount(&s, userns_fd, in_userns, label, ret_mount_fd)
                 : err_new(ERR_INVALID, "an overlay needs lowerdir=, and upperdir= with workdir=");
    rootfs_source_free(&s);
    TRY(e);
    return mount_apply(*ret_mount_fd, &r->options[i]);
}

static fallible mount_layered(struct rootfs *r, size_t i)
{
    own_fd int fd = take_fd(&r->prepared[i]);
    own_fd int target = -1;
    if (fd < 0) /* into a container that runs */
        TRY(layered_mount(r, i, -1, r->userns, &fd));
    TRY(target_open(r, &r->spec->mounts[i], TARGET_DIRECTORY, &target));
    return mount_place(fd, target);
}

/* "remount", and entries that only set attributes or propagation of what is there. */
static fallible mount_change(struct rootfs *r, size_t i)
{
    const struct mount_options *o = &r->options[i];
    own_fd int at = -1;
    if (o->data.len)
        return err_new(ERR_UNSUPPORTED, "remount: only attributes and propagation can change, not '%s'", o->data.text);
    TRY(root_open(r->root_fd, r->spec->mounts[i].destination, O_PATH, &at));
    err *e = mount_apply(at, o);
    if (!e)
        e = mount_propagate(at, o);
    if (e && err_errno(e) == EINVAL)
        return err_wrap(e, "%s: is something mounted there?", o->remount ? "remount" : "a mount without a type");
    return e;
}

fallible mount_one(struct rootfs *r, size_t i)
{
    const struct oci_mount *m = &r->spec->mounts[i];
    const struct mount_options *o = &r->options[i];
    if (o->remount || (!o->bind && (!m->type || !*m->type || str_eq(m->type, "none"))))
        return mount_change(r, i);
    if (o->bind)
        return mount_bind(r, i);
    if (mount_is_layered(m))
        return mount_layered(r, i);
    if (str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2")) {
        own_fd int target = -1;
        TRY(target_open(r, m, TARGET_DIRECTORY, &target));
        return cgroup_view_mount(r, i, target);
    }
    return mount_new(r, i);
}

/* /dev is made, never taken from the image. */
static fallible mount_dev(struct rootfs *r)
{
    static const struct mount_option options[] = { { "mode", "755" }, { "size", "65536k" } };
    char dev[] = "/dev";
    const struct oci_mount m = { .destination = dev };
    own_fd int target = -1;
    own_fd int fd = -1;
    TRY(target_open(r, &m, TARGET_DIRECTORY, &target));
    TRY(mount_make("tmpfs", "tmpfs", options, ARRAY_SIZE(options), MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, &fd));
    return mount_place(fd, target);
}

/* The working directory is made when it is missing, as runc and docker do. Where it cannot be, entering it says why. */
static void make_cwd(struct rootfs *r)
{
    own_fd int fd = -1;
    const struct oci_process *p = r->spec->process;
    if (p && p->cwd && p->cwd[0] == '/' && p->cwd[1])
        err_ignore(root_mkdirs(r->root_fd, p->cwd, 0755, &fd), "entering it will say why");
}

fallible rootfs_mount_all(struct rootfs *r)
{
    if (!mount_at(r->spec, "/dev"))
        TRY_AS(mount_dev(r), "mount '/dev'");
    for (size_t i = 0; i < r->spec->mounts_n; i++)
        TRY_AS(mount_one(r, i), "mount '%s'", r->spec->mounts[i].destination);
    make_cwd(r);
    return NULL;
}
