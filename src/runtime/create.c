// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/log.h"
#include "base/parse.h"
#include "namespaces/sysctl.h"
#include "network/cni.h"
#include "os/fs.h"
#include "os/linux.h"
#include "os/sock.h"
#include "os/userns.h"
#include "runtime/start.h"
#include "usernet/usernet.h"

/* Rows before the clone: the parent makes what the child will find. */

static err *record_intent(void *ctx)
{
    struct start *s = ctx;
    return state_write(s->dir_fd, &s->state); /* from here on `delete --force` finds the cgroup */
}

/* Only systemd knows the path, and a restart of the host's systemd must find the limits in the unit. */
static fallible make_scope(struct start *s)
{
    own_strv struct strv properties = { 0 };
    own_mem char *description = mem_printf("husk container %s", s->c->id);
    const char *why = NULL;
    TRY(scope_properties(str_eq(cgroup_host_mode(s->host), "v2"), &s->resources, &s->c->spec->annotations,
                         &properties));
    free(s->cgroup_path);
    s->cgroup_path = NULL;
    TRY(scope_start(&s->scope, description, &properties, &s->cgroup_path, &s->hold));
    /* a child may be cloned right into it where we could move one to */
    if (!cgroup_host_usable(s->host, &why) || !str_starts(s->cgroup_path, cgroup_host_base(s->host)))
        s->into_cgroup = false;
    cgroup_host_use(s->host, s->cgroup_path);
    free(s->state.cgroup_path);
    s->state.cgroup_path = mem_strdup(s->cgroup_path);
    TRY(state_write(s->dir_fd, &s->state));
    return cgroup_adopt(s->host, s->cgroup_path, &s->resources, &s->cgroup);
}

fallible start_make_group(struct start *s)
{
    return s->scope.unit ? make_scope(s) : cgroup_create(s->host, s->cgroup_path, &s->resources, &s->cgroup);
}

static err *make_cgroup(void *ctx)
{
    struct start *s = ctx;
    TRY(start_make_group(s));
    s->state.cgroup_text = cgroup_text(s->cgroup);
    TRY(cgroup_open_tasks(s->cgroup, &s->tasks, &s->tasks_n));
    for (size_t i = 0;; i++) {
        struct rootfs_cgroup v = { 0 };
        if (!cgroup_dir(s->cgroup, i, &v.name, &v.dir, &v.v2))
            break;
        s->views = mem_array(s->views, s->views_n + 1, sizeof *s->views);
        s->views[s->views_n++] = v;
    }
    s->root.cgroups = s->views;
    s->root.cgroups_n = s->views_n;
    return NULL;
}

static err *listen_for_start(void *ctx)
{
    struct start *s = ctx;
    TRY(sock_listen_at(s->dir_fd, START_SOCKET, SOCK_SEQPACKET, 0600, &s->listen_fd));
    s->program.start_listen_fd = s->listen_fd;
    return NULL;
}

static bool prepares_mounts(const void *ctx)
{
    const struct start *s = ctx;
    return s->c->mounts_user_fd || rootfs_needs_prepare(&s->root, s->own_userns && s->privileged);
}

static err *make_pairs(void *ctx)
{
    struct start *s = ctx;
    if (prepares_mounts(s))
        TRY(sock_pair(s->mounts_pair));
    if (s->c->spec->process && s->c->spec->process->terminal && s->c->console_sock < 0)
        TRY(sock_pair(s->console_pair));
    return NULL;
}

static err *compile_program(void *ctx)
{
    struct start *s = ctx;
    if (s->program.start_container_n) { /* their state is "creating" with the pid, which only the kernel knows yet */
        TRY(fs_memfd("state", &s->hook_state_fd));
        s->program.hook_state_fd = s->hook_state_fd;
    }
    return program_compile(&s->program, &s->order_fd);
}

static err *connect_agent(void *ctx)
{
    struct start *s = ctx;
    return notify_connect(s->state.listener_path, &s->listener_sock);
}

static err *open_stub(void *ctx)
{
    struct start *s = ctx;
    return program_open_stub(&s->stub_fd);
}

static err *clone_child(void *ctx)
{
    struct start *s = ctx;
    pid_t pid = 0;
    int pidfd = -1;
    int cgroup_fd = s->into_cgroup && s->cgroup ? cgroup_clone_fd(s->cgroup) : -1;
    TRY(namespaces_clone(&s->ns, cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0, cgroup_fd, &pid, &pidfd));
    steps_cloned(&s->run, pid, pidfd);
    return NULL;
}

/* Rows after it: the parent says who the child is, then the child makes its world. */

static err *write_maps(void *ctx)
{
    struct start *s = ctx;
    if (s->ns.parent_user_fd >= 0)
        return ids_write_maps_below(s->ns.parent_user_fd, s->run.pid, &s->ns.uids, &s->ns.gids);
    return ids_write_maps(s->run.pid, &s->ns.uids, &s->ns.gids);
}

static err *record_child(void *ctx)
{
    struct start *s = ctx;
    TRY(proc_identify(s->run.pid, &s->state.init));
    s->state.status = RUNTIME_CREATING;
    TRY(state_write(s->dir_fd, &s->state));
    if (s->c->network) /* once it has other ids than we, the kernel shows us nothing of it any more */
        TRY(network_open_netns(s->run.pid, &s->netns_fd));
    if (s->hook_state_fd >= 0) {
        own_mem char *text = runtime_state_text(&s->state);
        TRY(fs_write_fd(s->hook_state_fd, text, strlen(text), "state"));
    }
    return NULL;
}

static err *add_to_cgroup(void *ctx)
{
    struct start *s = ctx;
    return state_join(&s->state, s->cgroup, s->run.pid);
}

static err *join_resctrl(void *ctx)
{
    struct start *s = ctx;
    TRY_AS(resctrl_make(s->resctrl_fd, &s->resctrl, s->run.pid), "linux.intelRdt");
    s->resctrl_made = true;
    return NULL;
}

static err *raise_limits(void *ctx)
{
    struct start *s = ctx;
    return program_raise(&s->program, s->run.pid);
}

static err *prepare_and_send(void *ctx)
{
    struct start *s = ctx;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_sys(errno, "make a mount namespace");
    TRY(rootfs_prepare(&s->root, -1));
    return rootfs_send_prepared(&s->root, s->mounts_pair[0]);
}

static err *prepare_mounts(void *ctx)
{
    struct start *s = ctx;
    if (s->c->mounts_user_fd)
        return userns_call_in(*s->c->mounts_user_fd, prepare_and_send, s);
    own_fd int userns = -1;
    if (s->own_userns) {
        char path[48];
        (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)s->run.pid);
        userns = open(path, O_RDONLY | O_CLOEXEC);
        if (userns < 0)
            return err_sys(errno, "open '%s'", path);
    }
    TRY(rootfs_prepare(&s->root, userns));
    TRY(rootfs_send_prepared(&s->root, s->mounts_pair[0]));
    return NULL;
}

static err *join_cgroup(void *ctx)
{
    struct start *s = ctx;
    return cgroup_join_self(s->tasks, s->tasks_n);
}

static err *join_namespaces(void *ctx)
{
    struct start *s = ctx;
    return namespaces_join(&s->ns);
}

static err *unshare_cgroup(void *ctx)
{
    (void)ctx;
    return namespaces_make_cgroup();
}

static err *make_time(void *ctx)
{
    struct start *s = ctx;
    return namespaces_make_time(s->c->spec);
}

static err *enter_mounts(void *ctx)
{
    struct start *s = ctx;
    TRY(rootfs_enter(&s->root));
    close_now(&s->mounts_pair[0]); /* the parent's end: its death must be seen here */
    if (s->mounts_pair[1] >= 0)
        TRY(rootfs_receive_prepared(&s->root, s->mounts_pair[1]));
    return NULL;
}

static err *become_root(void *ctx)
{
    struct start *s = ctx;
    return namespaces_become_root(&s->ns);
}

static err *mount_root(void *ctx)
{
    struct start *s = ctx;
    return rootfs_mount_root(&s->root);
}

static err *mount_all(void *ctx)
{
    struct start *s = ctx;
    return rootfs_mount_all(&s->root);
}

static err *make_devices(void *ctx)
{
    struct start *s = ctx;
    return rootfs_make_devices(&s->root);
}

/* The console socket's protocol is runc's: one message, the terminal's name, with the master's descriptor. */
static err *open_terminal(void *ctx)
{
    struct start *s = ctx;
    own_fd int master = -1;
    static const char name[] = "/dev/console";
    TRY(rootfs_open_terminal(&s->root, &master));
    int sock = s->c->console_sock >= 0 ? s->c->console_sock : s->console_pair[1];
    return sock_send(sock, name, sizeof name - 1, &master, 1);
}

static err *move_devices(void *ctx)
{
    struct start *s = ctx;
    return netdev_move(s->c->spec, &s->ns, s->run.pid, &s->netdevs);
}

static err *connect_network(void *ctx)
{
    struct start *s = ctx;
    if (s->c->pasta) {
        own_mem char *pid_file = mem_printf("%s/" PASTA_PID_FILE, s->c->state_dir);
        pid_t pid;
        return pasta_start(&(struct pasta){ s->run.pid, s->c->pasta, pid_file }, &pid);
    }
    if (s->c->cni)
        return cni_add(s->c->cni, s->run.pid, s->dir_fd);
    return network_connect(s->c->network, s->netns_fd, s->dir_fd);
}

static err *run_runtime_hooks(void *ctx)
{
    struct start *s = ctx;
    const struct oci_hooks *h = s->c->spec->hooks;
    TRY(hooks_run("prestart", h->prestart, h->prestart_n, &s->state));
    return hooks_run("createRuntime", h->create_runtime, h->create_runtime_n, &s->state);
}

static err *run_container_hooks(void *ctx)
{
    struct start *s = ctx;
    const struct oci_hooks *h = s->c->spec->hooks;
    /* This side was made before the pid was known, and getpid() is 1; the host's /proc says it as the host sees it. */
    char self[16] = "";
    int64_t pid = 0;
    if (readlink("/proc/self", self, sizeof self - 1) < 0)
        return err_sys(errno, "read '/proc/self'");
    TRY(parse_i64(self, 1, INT32_MAX, &pid));
    s->state.init.pid = (pid_t)pid;
    return hooks_run("createContainer", h->create_container, h->create_container_n, &s->state);
}

static err *write_sysctls(void *ctx)
{
    struct start *s = ctx;
    const struct strmap *map = &s->c->spec->linux_->sysctl;
    for (size_t i = 0; i < map->n; i++) {
        own_mem char *path = sysctl_path(map->items[i].key);
        TRY_AS(rootfs_write_proc(&s->root, path, map->items[i].value), "sysctl '%s'", map->items[i].key);
    }
    return NULL;
}

static err *set_names(void *ctx)
{
    struct start *s = ctx;
    return namespaces_set_names(s->c->spec);
}

static err *loopback_up(void *ctx)
{
    (void)ctx;
    return namespaces_loopback_up();
}

static err *protect(void *ctx)
{
    struct start *s = ctx;
    return rootfs_protect(&s->root);
}

static err *change_root(void *ctx)
{
    struct start *s = ctx;
    return rootfs_change_root(&s->root);
}

/* The container's own /dev/null for the host's: the host's keeps its /dev in use, and CRIU could not find it again. */
static void own_null(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
        return;
    own_fd int null = open("/dev/null", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    if (null >= 0 && fstat(null, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
        (void)dup2(null, fd);
}

static err *enter_program(void *ctx)
{
    struct start *s = ctx;
    for (int i = 0; i < 3; i++) {
        if (s->c->stdio[i] >= 0 && dup2(s->c->stdio[i], i) < 0)
            return err_sys(errno, "put stdio in place");
        own_null(i);
    }
    return program_enter(s->stub_fd, s->order_fd, s->run.sock, s->root.tty_fd);
}

/* Whether this start has a row. */

static bool has_cgroup(const void *ctx)
{
    return ((const struct start *)ctx)->cgroup_path != NULL;
}
static bool adds_to_cgroup(const void *ctx)
{
    const struct start *s = ctx;
    return s->cgroup_path && !s->into_cgroup;
}
static bool joins_cgroup(const void *ctx)
{
    const struct start *s = ctx;
    return s->cgroup_path && s->into_cgroup;
}
static bool waits(const void *ctx)
{
    return ((const struct start *)ctx)->c->wait_for_start;
}
static bool tells_agent(const void *ctx)
{
    const struct start *s = ctx;
    return s->state.listener_path && !s->c->wait_for_start; /* else the starter does */
}
static bool maps_ids(const void *ctx)
{
    return ((const struct start *)ctx)->ns.create & CLONE_NEWUSER;
}
static bool owns_userns(const void *ctx)
{
    return ((const struct start *)ctx)->own_userns;
}
static bool joins_namespaces(const void *ctx)
{
    return namespaces_join_needed(&((const struct start *)ctx)->ns);
}
static bool new_cgroupns(const void *ctx)
{
    return ((const struct start *)ctx)->ns.create_cgroup;
}
static bool new_timens(const void *ctx)
{
    return ((const struct start *)ctx)->ns.create_time;
}
static bool new_netns(const void *ctx)
{
    return ((const struct start *)ctx)->ns.create & CLONE_NEWNET;
}
static bool has_terminal(const void *ctx)
{
    const struct oci_process *p = ((const struct start *)ctx)->c->spec->process;
    return p && p->terminal;
}
static bool has_resctrl(const void *ctx)
{
    return ((const struct start *)ctx)->resctrl.config;
}
static bool has_netdevs(const void *ctx)
{
    const struct oci_linux *l = ((const struct start *)ctx)->c->spec->linux_;
    return l && json_object_size(l->net_devices) > 0;
}
static bool has_network(const void *ctx)
{
    const struct start *s = ctx;
    return s->c->network != NULL || s->c->pasta != NULL || s->c->cni != NULL;
}
static bool has_runtime_hooks(const void *ctx)
{
    const struct oci_hooks *h = ((const struct start *)ctx)->c->spec->hooks;
    return h && h->prestart_n + h->create_runtime_n > 0;
}
static bool has_container_hooks(const void *ctx)
{
    const struct oci_hooks *h = ((const struct start *)ctx)->c->spec->hooks;
    return h && h->create_container_n > 0;
}
static bool has_sysctls(const void *ctx)
{
    const struct oci_linux *l = ((const struct start *)ctx)->c->spec->linux_;
    return l && l->sysctl.n > 0;
}
static bool has_names(const void *ctx)
{
    const struct oci_spec *spec = ((const struct start *)ctx)->c->spec;
    return (spec->hostname && *spec->hostname) || (spec->domainname && *spec->domainname);
}

/* The start of a container, all of it, in order. The last row never answers: its exec closes the socket. */
static const struct step rows[] = {
    { "write down the intent", SIDE_PARENT, record_intent, NULL, NULL },
    { "make the control group", SIDE_PARENT, make_cgroup, has_cgroup, explain_cgroup },
    { "listen for the start", SIDE_PARENT, listen_for_start, waits, NULL },
    { "make the channels", SIDE_PARENT, make_pairs, NULL, NULL },
    { "compile the program's order", SIDE_PARENT, compile_program, NULL, NULL },
    { "connect to the seccomp agent", SIDE_PARENT, connect_agent, tells_agent, NULL },
    { "open the stub", SIDE_PARENT, open_stub, NULL, NULL },
    { "make the process and its namespaces", SIDE_CLONE, clone_child, NULL, explain_clone },
    { "map user and group ids", SIDE_PARENT, write_maps, maps_ids, explain_maps },
    { "write down the process", SIDE_PARENT, record_child, NULL, NULL },
    { "move the process to its control group", SIDE_PARENT, add_to_cgroup, adds_to_cgroup, NULL },
    { "join the resctrl group", SIDE_PARENT, join_resctrl, has_resctrl, explain_resctrl },
    { "raise limits from outside", SIDE_PARENT, raise_limits, owns_userns, NULL },
    { "open mounts from outside", SIDE_PARENT, prepare_mounts, prepares_mounts, NULL },
    { "join the control group", SIDE_CHILD, join_cgroup, joins_cgroup, explain_join_cgroup },
    { "join namespaces", SIDE_CHILD, join_namespaces, joins_namespaces, explain_join },
    { "unshare the cgroup namespace", SIDE_CHILD, unshare_cgroup, new_cgroupns, explain_cgroupns },
    { "part from the host's mounts", SIDE_CHILD, enter_mounts, NULL, explain_private },
    { "become root of the user namespace", SIDE_CHILD, become_root, owns_userns, NULL },
    { "make the time namespace", SIDE_CHILD, make_time, new_timens, explain_timens },
    { "mount the root file system", SIDE_CHILD, mount_root, NULL, explain_root },
    { "mount file systems", SIDE_CHILD, mount_all, NULL, explain_mounts },
    { "make devices", SIDE_CHILD, make_devices, NULL, explain_devices },
    { "open the terminal", SIDE_CHILD, open_terminal, has_terminal, explain_terminal },
    { "move network devices", SIDE_PARENT, move_devices, has_netdevs, explain_netdevs },
    { "connect to the network", SIDE_PARENT, connect_network, has_network, explain_network },
    { "run hooks of the runtime", SIDE_PARENT, run_runtime_hooks, has_runtime_hooks, NULL },
    { "run hooks of the container", SIDE_CHILD, run_container_hooks, has_container_hooks, NULL },
    { "write kernel parameters", SIDE_CHILD, write_sysctls, has_sysctls, explain_sysctl },
    { "set the host name", SIDE_CHILD, set_names, has_names, explain_names },
    { "bring up the loopback", SIDE_CHILD, loopback_up, new_netns, explain_loopback },
    { "hide and protect paths", SIDE_CHILD, protect, NULL, explain_protect },
    { "change the root", SIDE_CHILD, change_root, NULL, explain_pivot },
    { "enter the program", SIDE_CHILD, enter_program, NULL, explain_program },
};

const struct step *runtime_create_steps(size_t *ret_n)
{
    *ret_n = ARRAY_SIZE(rows);
    return rows;
}

/* The plan: everything that can be refused before anything is made. */

static bool asks_limits(const struct oci_resources *r)
{
    return r && (r->memory || r->cpu || (r->pids && r->pids->limit.set && r->pids->limit.v > 0) || r->block_io ||
                 r->hugepage_limits_n || r->network || r->rdma || r->unified.n);
}

/*
 * After the configuration's own rules stand those for what every container has: making any node is harmless when it
 * cannot be opened, and the default devices and terminals can be. Source: runc's AllowedDevices.
 */
static void plan_devices(struct start *s)
{
    static char c[] = "c", b[] = "b", m[] = "m", rwm[] = "rwm";
    static const struct oci_device_cgroup defaults[] = {
        { true, c, m, { false, 0 }, { false, 0 } }, { true, b, m, { false, 0 }, { false, 0 } },
        { true, c, rwm, { true, 1 }, { true, 3 } }, { true, c, rwm, { true, 1 }, { true, 5 } },
        { true, c, rwm, { true, 1 }, { true, 7 } }, { true, c, rwm, { true, 1 }, { true, 8 } },
        { true, c, rwm, { true, 1 }, { true, 9 } }, { true, c, rwm, { true, 5 }, { true, 0 } },
        { true, c, rwm, { true, 5 }, { true, 2 } }, { true, c, rwm, { true, 136 }, { false, 0 } },
    };
    const struct oci_linux *l = s->c->spec->linux_;
    if (!l || !l->resources)
        return;
    s->resources = *l->resources;
    size_t n = l->resources->devices_n;
    if (!n)
        return;
    s->resources.devices = mem_array(NULL, n + ARRAY_SIZE(defaults), sizeof *s->resources.devices);
    memcpy(s->resources.devices, l->resources->devices, n * sizeof *s->resources.devices);
    memcpy(s->resources.devices + n, defaults, sizeof defaults);
    s->resources.devices_n = n + ARRAY_SIZE(defaults);
}

static fallible plan_cgroup(struct start *s)
{
    plan_devices(s);
    const struct oci_linux *l = s->c->spec->linux_;
    const char *why = NULL;
    if (s->c->cgroup == RUNTIME_CGROUP_NONE)
        return NULL;
    TRY(cgroup_host_open(&s->host));
    if (s->c->cgroup_v1_readers)
        cgroup_host_for_v1_readers(s->host);
    if (s->c->cgroup == RUNTIME_CGROUP_SYSTEMD) {
        TRY(scope_plan(l ? l->cgroups_path : NULL, s->c->id, s->privileged && !s->in_userns ? SCOPE_SYSTEM : SCOPE_USER,
                       &s->scope));
        s->cgroup_path = mem_printf("/%s", s->scope.unit); /* until systemd has said where it is */
        return NULL;
    }
    if (!cgroup_host_usable(s->host, &why)) {
        if (s->c->cgroup_optional && !asks_limits(l ? l->resources : NULL))
            return NULL;
        return err_new(ERR_DENIED, "control group: %s", why);
    }
    own_mem char *path =
        l && l->cgroups_path && *l->cgroups_path ? mem_strdup(l->cgroups_path) : mem_printf("husk/%s", s->c->id);
    const char *base = cgroup_host_base(s->host);
    s->cgroup_path = *path == '/' ? mem_strdup(path) : mem_printf("%s/%s", str_eq(base, "/") ? "" : base, path);
    return NULL;
}

static fallible plan_resctrl(struct start *s)
{
    const struct oci_linux *l = s->c->spec->linux_;
    if (!l || !l->intel_rdt)
        return NULL;
    TRY(resctrl_plan(l->intel_rdt, s->c->id, &s->resctrl));
    TRY_AS(resctrl_open(&s->resctrl_fd), "linux.intelRdt");
    return NULL;
}

static fallible check_supported(const struct oci_spec *spec)
{
    if (!spec->process || !spec->process->args.n)
        return err_new(ERR_INVALID, "process: args: missing: there is no program to run");
    if (spec->linux_ && spec->linux_->mount_label && *spec->linux_->mount_label)
        TRY(program_lsm_check(PROGRAM_SELINUX, "linux.mountLabel"));
    return NULL;
}

static void plan_state(struct start *s)
{
    struct timespec now;
    struct runtime_state *t = &s->state;
    clock_gettime(CLOCK_REALTIME, &now);
    t->id = mem_strdup(s->c->id);
    t->bundle = mem_strdup(s->c->bundle);
    t->cgroup_path = s->scope.unit ? NULL : mem_strdup(s->cgroup_path);
    t->scope = mem_strdup(s->scope.unit);
    t->scope_user = s->scope.manager == SCOPE_USER;
    t->status = RUNTIME_CREATING;
    t->created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    t->namespaces = s->ns.create | s->ns.join | (s->ns.create_cgroup ? CLONE_NEWCGROUP : 0) |
                    (s->ns.create_time ? CLONE_NEWTIME : 0);
    t->rootless = !s->privileged || s->in_userns;
    t->no_new_keyring = s->c->no_new_keyring;
    t->shares_mounts = s->ns.shares_mounts;
    t->starts_at_once = !s->c->wait_for_start;
    for (size_t i = 0; i < s->c->spec->annotations.n; i++)
        strmap_set(&t->annotations, s->c->spec->annotations.items[i].key, s->c->spec->annotations.items[i].value);
    if (s->resctrl.config) {
        resctrl_dirs(&s->resctrl, &t->resctrl_dirs);
        t->resctrl_group = mem_strdup(s->resctrl.group);
        t->resctrl_monitor = mem_strdup(s->resctrl.monitor);
    }
    const struct oci_seccomp *seccomp = s->c->spec->linux_ ? s->c->spec->linux_->seccomp : NULL;
    if (seccomp && notify_wanted(seccomp)) {
        t->listener_path = mem_strdup(seccomp->listener_path);
        t->listener_metadata = mem_strdup(seccomp->listener_metadata);
    }
}

/* Later verbs run these, when the configuration may be gone. */
static fallible plan_hooks(struct start *s)
{
    const struct oci_hooks *h = s->c->spec->hooks;
    void *copy = NULL;
    if (!h || h->poststart_n + h->poststop_n == 0)
        return NULL;
    const struct oci_hooks later = {
        .poststart = h->poststart, .poststart_n = h->poststart_n, .poststop = h->poststop, .poststop_n = h->poststop_n
    };
    own_json json_t *doc = bind_write_json(&oci_hooks_type, &later);
    TRY(bind_read_json(&oci_hooks_type, doc, &copy));
    s->state.hooks = copy;
    return NULL;
}

static void plan_program(struct start *s)
{
    const struct oci_spec *spec = s->c->spec;
    const struct oci_linux *l = spec->linux_;
    s->program = (struct program){
        .process = spec->process,
        .seccomp = l ? l->seccomp : NULL,
        .seccomp_cache_dir = s->c->seccomp_cache_dir,
        .filter = s->c->filter,
        .annotations = &spec->annotations,
        .personality = l ? l->personality : NULL,
        .memory_policy = l ? l->memory_policy : NULL,
        .own_userns = s->own_userns,
        .keep_groups = s->own_userns && !s->privileged && s->ns.gids.n == 1 && s->ns.gids.ranges[0].count == 1,
        .joined_userns = s->ns.join & CLONE_NEWUSER,
        .new_session_keyring = !s->c->no_new_keyring,
        .join_pidfd = -1,
        .join_root = -1,
        .cgroup_fd = -1,
        .start_listen_fd = -1,
        .start_container = spec->hooks ? spec->hooks->start_container : NULL,
        .start_container_n = spec->hooks ? spec->hooks->start_container_n : 0,
        .hook_state_fd = -1,
        .preserve_fds = s->c->preserve_fds,
        .new_session = true, /* or /dev/tty would be the caller's terminal, to read from and to type into */
        .init = s->c->init,
    };
}

fallible start_plan(struct start *s, const struct runtime_create *c)
{
    *s = (struct start){ .c = c,
                         .dir_fd = -1,
                         .order_fd = -1,
                         .stub_fd = -1,
                         .listen_fd = -1,
                         .netns_fd = -1,
                         .hook_state_fd = -1,
                         .listener_sock = -1,
                         .resctrl_fd = -1,
                         .netdevs = { .host = -1, .inside = -1, .host_ns = -1 },
                         .mounts_pair = { -1, -1 },
                         .console_pair = { -1, -1 },
                         .ns = { .parent_user_fd = -1, .mounts_fd = -1 },
                         .hold = SCOPE_HOLD_NONE,
                         .into_cgroup = true };
    for (size_t i = 0; i < NAMESPACE_KINDS; i++)
        s->ns.join_fds[i] = -1;
    s->in_userns = ids_in_userns();
    s->privileged = ids_is_root();
    TRY(check_supported(c->spec));
    TRY(namespaces_plan(c->spec, &s->ns));
    if (c->parent_user_fd && s->ns.create & CLONE_NEWUSER)
        s->ns.parent_user_fd = *c->parent_user_fd;
    s->own_userns = namespaces_has(&s->ns, CLONE_NEWUSER);
    if (!s->privileged && !s->own_userns)
        return err_new(ERR_DENIED, "an ordinary user's container needs a user namespace: add { \"type\": \"user\" } to "
                                   "linux.namespaces, with uidMappings and gidMappings");
    TRY(sysctl_check(c->spec, &s->ns));
    TRY(netdev_check(c->spec, &s->ns));
    TRY(rootfs_init(&s->root, c->spec, c->root));
    s->root.bundle = c->bundle;
    s->root.staging = c->staging ? c->staging : c->state_dir;
    s->root.userns = s->own_userns || s->in_userns;
    s->root.cgroupns = s->ns.create_cgroup;
    s->root.no_pivot = c->no_pivot;
    s->root.mounts_ns = s->ns.mounts_fd;
    TRY(plan_cgroup(s));
    TRY(plan_resctrl(s));
    plan_state(s);
    TRY(plan_hooks(s));
    plan_program(s);
    return NULL;
}

void start_clear(struct start *s)
{
    int *fds[] = { &s->resctrl_fd,     &s->dir_fd,         &s->order_fd,        &s->stub_fd,
                   &s->listen_fd,      &s->netns_fd,       &s->hook_state_fd,   &s->listener_sock,
                   &s->mounts_pair[0], &s->mounts_pair[1], &s->console_pair[0], &s->console_pair[1] };
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close_now(fds[i]);
    for (size_t i = 0; i < s->tasks_n; i++)
        (void)close(s->tasks[i]);
    if (s->resources.devices_n)
        free(s->resources.devices);
    free(s->tasks);
    free(s->views);
    free(s->cgroup_path);
    netdevs_clear(&s->netdevs);
    resctrl_clear(&s->resctrl);
    scope_plan_clear(&s->scope);
    scope_hold_clear(&s->hold);
    namespaces_clear(&s->ns);
    rootfs_clear(&s->root);
    cgroup_free(s->cgroup);
    cgroup_host_free(s->host);
    state_clear(&s->state);
}

static bool hooks_began(const struct start *s)
{
    for (size_t i = 0; s->run.times && i < ARRAY_SIZE(rows); i++)
        if ((rows[i].run == run_runtime_hooks || rows[i].run == run_container_hooks) && s->run.times->begin_ns[i])
            return true;
    return false;
}

/* What a failed start has left outside of its processes. */
static void undo(struct start *s)
{
    netdev_give_back(&s->netdevs);
    if (s->c->network)
        err_ignore(firewall_withdraw(s->dir_fd), "the start's own error matters more");
    if (s->c->pasta)
        pasta_stop_at(s->dir_fd);
    if (s->c->cni)
        err_ignore(cni_end(s->dir_fd), "the start's own error matters more");
    if (s->resctrl_made)
        err_ignore(resctrl_remove(s->resctrl_fd, &s->state.resctrl_dirs), "the start's own error matters more");
    if (s->cgroup) {
        err_ignore(cgroup_kill(s->cgroup), "hooks may have put processes there");
        scope_hold_clear(&s->hold);
        err_ignore(state_remove_group(s->cgroup), "the start's own error matters more");
    }
    scope_hold_clear(&s->hold);
    if (s->scope.unit && s->state.cgroup_path) /* it was made */
        err_ignore(scope_stop(s->scope.manager, s->scope.unit), "the start's own error matters more");
    (void)unlinkat(s->dir_fd, START_SOCKET, 0);
    (void)unlinkat(s->dir_fd, STATE_FILE, 0);
    if (s->state.hooks && hooks_began(s)) {
        s->state.status = RUNTIME_STOPPED;
        hooks_run_poststop(&s->state);
    }
}

/* The kill trap (see cgroup.h): clone3 said yes, and the child was dead before its first row. */
static bool stillborn(const struct start *s, const err *e)
{
    if (!e || !s->into_cgroup || !s->cgroup || cgroup_clone_fd(s->cgroup) < 0 || err_kind(e) != ERR_UNAVAILABLE)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].side == SIDE_CHILD && s->run.times->begin_ns[i])
            return false;
    return true;
}

static fallible receive_console(struct start *s)
{
    char name[64];
    size_t len = 0, n = 0;
    if (s->console_pair[0] < 0 || !s->c->ret_console_fd)
        return NULL;
    TRY(sock_recv(s->console_pair[0], name, sizeof name, &len, s->c->ret_console_fd, 1, &n));
    if (n != 1)
        return err_new(ERR_UNAVAILABLE, "terminal: the child sent none");
    return NULL;
}

static void log_rows(const struct steps_times *t)
{
    if (log_level() < LOG_LEVEL_DEBUG)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (t->begin_ns[i] && t->end_ns[i]) // NOLINT(clang-analyzer-core.NullDereference): a walk that ended has times
            log_debug("%s: us=%llu", rows[i].name, (unsigned long long)(t->end_ns[i] - t->begin_ns[i]) / 1000);
}

static fallible finish(struct start *s, struct runtime_created *ret)
{
    struct timespec now;
    struct pollfd ended = { .fd = s->run.pidfd, .events = POLLIN };
    log_rows(s->run.times);
    /* it waits for its start by now; its end without a word would look like an exec */
    if (s->c->wait_for_start && poll(&ended, 1, 0) > 0)
        return err_new(ERR_UNAVAILABLE, "the program's process ended before it was started");
    clock_gettime(CLOCK_REALTIME, &now);
    TRY(receive_console(s));
    if (!s->c->wait_for_start && s->state.hooks) {
        s->state.status = RUNTIME_RUNNING;
        TRY(hooks_run("poststart", s->state.hooks->poststart, s->state.hooks->poststart_n, &s->state));
    }
    ret->init = s->state.init;
    ret->cgroup_path = mem_strdup(s->cgroup_path);
    ret->cgroup_text = mem_strdup(s->state.cgroup_text);
    ret->times = *s->run.times; // NOLINT(clang-analyzer-core.NullDereference): as above
    ret->started_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    ret->pidfd = take_fd(&s->run.pidfd);
    ret->live = mem_zalloc(sizeof *ret->live);
    ret->live->dir_fd = take_fd(&s->dir_fd);
    ret->live->cgroup = take(s->cgroup);
    ret->live->state = s->state;
    s->state = (struct runtime_state){ 0 };
    return NULL;
}

static void reap(struct start *s)
{
    int status = 0;
    if (s->run.pidfd < 0)
        return;
    err_ignore(proc_signal(s->run.pidfd, SIGKILL), "it may be dead already");
    err_ignore(proc_wait(s->run.pidfd, -1, &status), "it may be reaped already");
    close_now(&s->run.pidfd);
}

static err *take_listener(void *ctx, int take_fd)
{
    struct start *s = ctx;
    return notify_send(&s->listener_sock, &s->state, s->state.listener_metadata, s->run.pid, take_fd);
}

/* A group too small for the start itself: its processes are not the program's yet. */
static err *too_small(const struct start *s, err *take_e)
{
    if (err_kind(take_e) != ERR_UNAVAILABLE || !s->cgroup || !cgroup_oom_killed(s->cgroup))
        return take_e;
    err_free(take_e);
    return err_new(ERR_EXHAUSTED, "the memory limit is too small to start a program in: it was killed for its memory");
}

static fallible try_start(struct start *s, bool into_cgroup, struct runtime_created *ret, bool *ret_stillborn)
{
    s->into_cgroup = into_cgroup;
    TRY_AS(fs_open_dir_at(AT_FDCWD, s->c->state_dir, FS_MUST_EXIST, &s->dir_fd), "state directory");
    s->run = (struct steps_run){ .rows = rows, .n = ARRAY_SIZE(rows), .ctx = s, .pidfd = -1, .take_fd = take_listener };
    err *e = steps_walk(&s->run);
    *ret_stillborn = s->run.times && stillborn(s, e);
    if (!e) {
        e = finish(s, ret);
        if (e)
            reap(s);
    }
    if (e) {
        e = too_small(s, e);
        undo(s);
    }
    steps_end(&s->run);
    return e;
}

static fallible start_once(const struct runtime_create *c, bool into_cgroup, struct runtime_created *ret,
                           bool *ret_stillborn)
{
    struct start s;
    err *e = start_plan(&s, c);
    if (!e)
        e = try_start(&s, into_cgroup, ret, ret_stillborn);
    start_clear(&s);
    return e;
}

fallible runtime_create(const struct runtime_create *c, struct runtime_created *ret)
{
    bool dead = false;
    *ret = (struct runtime_created){ .pidfd = -1 };
    err *e = start_once(c, true, ret, &dead);
    if (e && dead) {
        log_debug("the process was killed at birth in its control group; once more by cgroup.procs: %s", err_text(e));
        err_free(e);
        e = start_once(c, false, ret, &dead);
    }
    return e;
}

void runtime_created_clear(struct runtime_created *c)
{
    close_now(&c->pidfd);
    free(c->cgroup_path);
    free(c->cgroup_text);
    runtime_live_free(c->live);
    *c = (struct runtime_created){ .pidfd = -1 };
}
