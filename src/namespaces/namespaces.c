// SPDX-License-Identifier: GPL-2.0-or-later
#include "namespaces/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"

/* In the order in which they are joined when one rights domain is enough; the user namespace comes by itself. */
static const struct kind {
    const char *type, *file, *word;
    uint64_t flag;
} kinds[NAMESPACE_KINDS] = {
    { "user", "user", "--user", CLONE_NEWUSER }, { "ipc", "ipc", "--ipc", CLONE_NEWIPC },
    { "uts", "uts", "--uts", CLONE_NEWUTS },     { "network", "net", "--net", CLONE_NEWNET },
    { "pid", "pid", "--pid", CLONE_NEWPID },     { "cgroup", "cgroup", "--cgroup", CLONE_NEWCGROUP },
    { "time", "time", "--time", CLONE_NEWTIME }, { "mount", "mnt", "--mount", CLONE_NEWNS },
};
enum { KIND_USER = 0 };

static const struct kind *find_kind(const char *type)
{
    for (size_t i = 0; i < NAMESPACE_KINDS; i++)
        if (str_eq(kinds[i].type, type))
            return &kinds[i];
    return NULL;
}

const char *namespace_file(const char *type)
{
    const struct kind *k = find_kind(type);
    return k ? k->file : NULL;
}

const char *const *namespace_types(void)
{
    static const char *types[NAMESPACE_KINDS + 1];
    for (size_t i = 0; i < NAMESPACE_KINDS; i++)
        types[i] = kinds[i].type;
    return types;
}

static const char *flag_type(uint64_t flag)
{
    for (size_t i = 0; i < NAMESPACE_KINDS; i++)
        if (kinds[i].flag == flag)
            return kinds[i].type;
    return "unknown";
}

void namespaces_clear(struct namespaces *ns)
{
    for (size_t i = 0; i < NAMESPACE_KINDS; i++)
        close_now(&ns->join_fds[i]);
    close_now(&ns->mounts_fd);
    id_map_free(&ns->uids);
    id_map_free(&ns->gids);
}

int namespaces_join_fd(const struct namespaces *ns, const char *type)
{
    const struct kind *k = find_kind(type);
    return k ? ns->join_fds[k - kinds] : -1;
}

bool namespaces_has(const struct namespaces *ns, uint64_t flag)
{
    return (ns->create | ns->join) & flag || (flag == CLONE_NEWCGROUP && ns->create_cgroup) ||
           (flag == CLONE_NEWTIME && ns->create_time);
}

/* Already in it: nothing to enter, and the kernel refuses a user namespace twice. */
static bool is_ours(int fd, const struct kind *k)
{
    char path[32];
    struct stat theirs, ours;
    (void)snprintf(path, sizeof path, "/proc/self/ns/%s", k->file);
    return fstat(fd, &theirs) == 0 && stat(path, &ours) == 0 && theirs.st_ino == ours.st_ino &&
           theirs.st_dev == ours.st_dev;
}

static fallible open_namespace(const struct kind *k, const char *path, int *ret_fd)
{
    /* O_NONBLOCK: a FIFO put there must not hold us; the ioctl fails on everything but a namespace */
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_sys(errno, "open namespace '%s'", path);
    int type = ioctl(fd, NS_GET_NSTYPE);
    if (type < 0)
        return err_new(ERR_INVALID, "'%s' is not a namespace", path);
    if ((uint64_t)(unsigned)type != k->flag)
        return err_new(ERR_INVALID, "'%s' is a namespace of type %s, not %s", path, flag_type((uint64_t)(unsigned)type),
                       k->type);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible plan_join(const struct kind *k, const char *path, struct namespaces *ns)
{
    own_fd int fd = -1;
    TRY_AS(open_namespace(k, path, &fd), "namespace %s", k->type);
    if (k->flag == CLONE_NEWNS) {
        ns->mounts_fd = take_fd(&fd);
        return NULL;
    }
    if (is_ours(fd, k))
        return NULL;
    ns->join |= k->flag;
    ns->join_fds[k - kinds] = take_fd(&fd);
    return NULL;
}

static void plan_create(const struct kind *k, struct namespaces *ns)
{
    if (k->flag == CLONE_NEWCGROUP)
        ns->create_cgroup = true; /* after the process is in its cgroup, or the root of its view would be ours */
    else if (k->flag == CLONE_NEWTIME)
        ns->create_time = true; /* offsets can only be set before somebody is in it */
    else
        ns->create |= k->flag;
}

static void copy_maps(const struct oci_id_mapping *from, size_t n, struct id_map *to)
{
    for (size_t i = 0; i < n; i++)
        id_map_add(to, from[i].container_id, from[i].host_id, from[i].size);
}

static bool maps_root(const struct oci_id_mapping *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (m[i].container_id == 0)
            return true;
    return false;
}

static fallible plan_maps(const struct oci_linux *l, struct namespaces *ns)
{
    bool maps = l->uid_mappings_n || l->gid_mappings_n;
    if (ns->create & CLONE_NEWUSER) {
        if (!l->uid_mappings_n || !l->gid_mappings_n)
            return err_new(ERR_INVALID, "a user namespace needs uidMappings and gidMappings");
        if (!maps_root(l->uid_mappings, l->uid_mappings_n) || !maps_root(l->gid_mappings, l->gid_mappings_n))
            return err_new(ERR_INVALID,
                           "uidMappings and gidMappings must have the container's 0: it makes its file systems");
        copy_maps(l->uid_mappings, l->uid_mappings_n, &ns->uids);
        copy_maps(l->gid_mappings, l->gid_mappings_n, &ns->gids);
    } else if (maps && !(ns->join & CLONE_NEWUSER)) {
        return err_new(ERR_INVALID, "uidMappings and gidMappings need a user namespace in namespaces");
    }
    return NULL;
}

/* Without an entry a namespace is the caller's. Source: runtime-spec config-linux.md, "Namespaces". */
static fallible plan_mounts(struct namespaces *ns)
{
    if (ns->create & CLONE_NEWNS)
        return NULL;
    if (ns->create & CLONE_NEWUSER)
        return err_new(ERR_UNSUPPORTED,
                       "a new user namespace needs a new mount namespace: the kernel lets nobody mount "
                       "in one that belongs to another; add { \"type\": \"mount\" } to linux.namespaces");
    if (ns->mounts_fd < 0)
        ns->mounts_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (ns->mounts_fd < 0)
        return err_sys(errno, "open '/proc/self/ns/mnt'");
    ns->shares_mounts = true;
    ns->create |= CLONE_NEWNS; /* where its mounts are made, before it goes over */
    return NULL;
}

/* The host has a name too, and it would be that one. As runc refuses it. */
static fallible check_names(const struct oci_spec *spec, const struct namespaces *ns)
{
    const char *what = spec->hostname && *spec->hostname       ? "hostname"
                       : spec->domainname && *spec->domainname ? "domainname"
                                                               : NULL;
    if (!what || (ns->create | ns->join) & CLONE_NEWUTS)
        return NULL;
    return err_new(ERR_INVALID,
                   "%s needs a uts namespace that is not the host's: add { \"type\": \"uts\" } to "
                   "linux.namespaces",
                   what);
}

static fallible plan(const struct oci_spec *spec, struct namespaces *ns)
{
    const struct oci_linux *l = spec->linux_;
    for (size_t i = 0; l && i < l->namespaces_n; i++) {
        const struct oci_namespace *n = &l->namespaces[i];
        const struct kind *k = find_kind(n->type);
        if (!k)
            return err_new(ERR_INVALID, "namespace '%s': unknown type", n->type);
        if (n->path && *n->path)
            TRY(plan_join(k, n->path, ns));
        else
            plan_create(k, ns);
    }
    TRY(check_names(spec, ns));
    TRY(plan_mounts(ns));
    if (l && l->time_offsets && !ns->create_time)
        return err_new(ERR_INVALID, "timeOffsets need a time namespace in namespaces");
    return l ? plan_maps(l, ns) : NULL;
}

fallible namespaces_plan(const struct oci_spec *spec, struct namespaces *ret)
{
    *ret = (struct namespaces){ .parent_user_fd = -1, .mounts_fd = -1 };
    for (size_t i = 0; i < NAMESPACE_KINDS; i++)
        ret->join_fds[i] = -1;
    err *e = plan(spec, ret);
    if (e)
        namespaces_clear(ret);
    return e;
}

/* A pid namespace is for children to come; a user namespace brings or takes the rights that everything else needs. */
static bool needs_helper(const struct namespaces *ns)
{
    return ns->join & (CLONE_NEWUSER | CLONE_NEWPID) || (ns->create & CLONE_NEWUSER && ns->join) ||
           ns->parent_user_fd >= 0;
}

bool namespaces_join_needed(const struct namespaces *ns)
{
    return ns->join && !needs_helper(ns);
}

static fallible join_one(const struct namespaces *ns, size_t i)
{
    if (setns(ns->join_fds[i], (int)kinds[i].flag) < 0)
        return err_sys(errno, "join the %s namespace", kinds[i].type);
    return NULL;
}

/* First with the rights we have, which is what a namespace of the host needs; what refuses is tried again from inside
 * the joined user namespace, which is what a namespace that belongs to it needs. */
fallible namespaces_join(const struct namespaces *ns)
{
    bool later[NAMESPACE_KINDS] = { false };
    bool user = ns->join_fds[KIND_USER] >= 0;
    for (size_t i = 0; i < NAMESPACE_KINDS; i++) {
        if (i == KIND_USER || ns->join_fds[i] < 0)
            continue;
        err *e = join_one(ns, i);
        if (e && user && err_errno(e) == EPERM) {
            err_free(e);
            later[i] = true;
        } else if (e) {
            return e;
        }
    }
    if (user)
        TRY(join_one(ns, KIND_USER));
    for (size_t i = 0; i < NAMESPACE_KINDS; i++)
        if (later[i])
            TRY(join_one(ns, i));
    return NULL;
}

static fallible helper_clone(const struct namespaces *ns, uint64_t flags, int cgroup_fd, int sock, pid_t *ret_pid)
{
    own_fd int pidfd = -1;
    if (ns->parent_user_fd >= 0) {
        if (setns(ns->parent_user_fd, CLONE_NEWUSER) < 0)
            return err_sys(errno, "enter the user namespace of the user's networks");
        if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
            return err_sys(errno, "become root of it");
    }
    TRY(namespaces_join(ns));
    TRY(proc_clone(flags | CLONE_PARENT, cgroup_fd, ret_pid, &pidfd));
    if (*ret_pid == 0)
        return NULL;
    int32_t pid = *ret_pid;
    return sock_send(sock, &pid, sizeof pid, &pidfd, 1);
}

/* Returns only in the grandchild. */
static void helper_main(const struct namespaces *ns, uint64_t flags, int cgroup_fd, int sock)
{
    pid_t pid = -1;
    unsigned char bytes[ERR_ENCODED_MAX];
    err *e = helper_clone(ns, flags, cgroup_fd, sock, &pid);
    if (!e && pid == 0)
        return;
    if (e) {
        size_t n = err_encode(e, bytes, sizeof bytes);
        (void)send(sock, bytes, n, MSG_NOSIGNAL);
    }
    _exit(e != NULL);
}

static fallible receive_child(int sock, pid_t *ret_pid, int *ret_pidfd)
{
    unsigned char bytes[ERR_ENCODED_MAX];
    size_t n = 0, fds = 0;
    int32_t pid;
    TRY(sock_recv(sock, bytes, sizeof bytes, &n, ret_pidfd, 1, &fds));
    if (n == 0)
        return err_new(ERR_UNAVAILABLE, "join namespaces: the helper is gone");
    if (n != sizeof pid || fds != 1)
        return err_decode(bytes, n);
    memcpy(&pid, bytes, sizeof pid);
    *ret_pid = pid;
    return NULL;
}

fallible namespaces_clone(const struct namespaces *ns, uint64_t more_flags, int cgroup_fd, pid_t *ret_pid,
                          int *ret_pidfd)
{
    int pair[2], status = 0;
    uint64_t flags = ns->create | more_flags;
    if (!needs_helper(ns))
        return proc_clone(flags, cgroup_fd, ret_pid, ret_pidfd);
    TRY(sock_pair(pair));
    own_fd int ours = pair[0];
    own_fd int theirs = pair[1];
    own_fd int helper_fd = -1;
    pid_t helper = 0;
    TRY(proc_clone(0, -1, &helper, &helper_fd));
    if (helper == 0) {
        helper_main(ns, flags, cgroup_fd, theirs);
        *ret_pid = 0;
        *ret_pidfd = -1;
        return NULL;
    }
    close_now(&theirs);
    err *e = receive_child(ours, ret_pid, ret_pidfd);
    err_ignore(proc_wait(helper_fd, -1, &status), "it has said all it had to say");
    return e;
}

static bool maps_zero(const struct id_map *m)
{
    uint32_t outside;
    return m->n == 0 ||
           id_map_outside(m, 0, &outside); /* no map: a joined namespace, whose maps are not ours to know */
}

fallible namespaces_become_root(const struct namespaces *ns, enum namespaces_groups groups)
{
    if (!maps_zero(&ns->uids) || !maps_zero(&ns->gids))
        return NULL; /* without a root inside, what is made belongs to whoever we are */
    /* setgroups is denied where an ordinary user mapped a single id; the groups are then the caller's own anyway */
    if (groups == GROUPS_DROP && setgroups(0, NULL) < 0 && errno != EPERM)
        return err_sys(errno, "drop groups");
    if (setresgid(0, 0, 0) < 0)
        return err_sys(errno, "become group 0");
    if (setresuid(0, 0, 0) < 0)
        return err_sys(errno, "become user 0");
    return NULL;
}

fallible namespaces_make_cgroup(void)
{
    if (unshare(CLONE_NEWCGROUP) < 0)
        return err_sys(errno, "unshare the cgroup namespace");
    return NULL;
}

static fallible time_offsets_text(json_t *offsets, struct str *out)
{
    const char *clock;
    json_t *v;
    json_object_foreach (offsets, clock, v) {
        const json_t *secs = json_object_get(v, "secs"), *ns = json_object_get(v, "nanosecs");
        if (!str_eq(clock, "monotonic") && !str_eq(clock, "boottime"))
            return err_new(ERR_INVALID, "timeOffsets: '%s' is none of monotonic and boottime", clock);
        if (!json_is_object(v) || (secs && !json_is_integer(secs)) || (ns && !json_is_integer(ns)))
            return err_new(ERR_INVALID, "timeOffsets: %s: expected secs and nanosecs", clock);
        str_printf(out, "%s %" PRId64 " %" PRId64 "\n", clock, (int64_t)json_integer_value(secs),
                   (int64_t)json_integer_value(ns));
    }
    return NULL;
}

fallible namespaces_make_time(const struct oci_spec *spec)
{
    own_str struct str text = { 0 };
    if (unshare(CLONE_NEWTIME) < 0)
        return err_sys(errno, "unshare the time namespace");
    if (spec->linux_->time_offsets)
        TRY(time_offsets_text(spec->linux_->time_offsets, &text));
    if (text.len)
        TRY(fs_write_at(AT_FDCWD, "/proc/self/timens_offsets", text.text));
    own_fd int fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
        return err_sys(errno, "enter the time namespace");
    return NULL;
}

fallible namespaces_set_names(const struct oci_spec *spec)
{
    if (spec->hostname && *spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
        return err_sys(errno, "set host name '%s'", spec->hostname);
    if (spec->domainname && *spec->domainname && setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
        return err_sys(errno, "set domain name '%s'", spec->domainname);
    return NULL;
}

fallible namespaces_open_network(int *ret_sock)
{
    *ret_sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return *ret_sock < 0 ? err_sys(errno, "make a socket of the network namespace") : NULL;
}

fallible namespaces_loopback_up_by(int sock)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    return ioctl(sock, SIOCSIFFLAGS, &request) < 0 ? err_sys(errno, "bring up 'lo'") : NULL;
}

fallible namespaces_loopback_up(void)
{
    own_fd int sock = -1;
    TRY(namespaces_open_network(&sock));
    return namespaces_loopback_up_by(sock);
}

void namespaces_unshare_words(const struct namespaces *ns, struct str *out)
{
    for (size_t i = 0; i < NAMESPACE_KINDS; i++) {
        bool made = ns->create & kinds[i].flag || (kinds[i].flag == CLONE_NEWCGROUP && ns->create_cgroup) ||
                    (kinds[i].flag == CLONE_NEWTIME && ns->create_time);
        if (made)
            str_printf(out, "%s%s", out->len ? " " : "", kinds[i].word);
    }
}
