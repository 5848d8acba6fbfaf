// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/parse.h"
#include "namespaces/sysctl.h"
#include "network/cni.h"
#include "os/fs.h"
#include "os/heap.h"
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
    if (s->program.start_container_n) { /* who is the process, as the container sees it, writes their state */
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
    s->before_clone_ns = proc_clock_ns();
    TRY(namespaces_clone(&s->ns, cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0, cgroup_fd, &pid, &pidfd));
    s->after_clone_ns = proc_clock_ns();
    heap_part();
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
    if (!proc_identify_born(s->run.pid, s->before_clone_ns, s->after_clone_ns, &s->state.init))
        TRY(proc_identify(s->run.pid, &s->state.init));
    s->state.status = RUNTIME_CREATING;
    TRY(state_write(s->dir_fd, &s->state));
    if (s->c->network) /* once it has other ids than we, the kernel shows us nothing of it any more */
        TRY(network_open_netns(s->run.pid, &s->netns_fd));
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
    bool keep = strmap_get(&s->c->spec->annotations, KEEP_GROUPS_ANNOTATION) != NULL;
    return namespaces_become_root(&s->ns, keep ? GROUPS_KEEP : GROUPS_DROP);
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
        TRY(pasta_start(&(struct pasta){ s->run.pid, s->c->pasta, pid_file }, &pid));
        err *e = usernet_tell_refusals(s->run.pid);
        if (e)
            log_info("--network pasta: who is refused a connection waits two minutes: %s", err_text(e));
        err_ignore(e, "it is pasta's fault, and goes with a newer one");
        return NULL;
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
    s->state.init.pid =
        getpid(); /* "for hooks executed in the container namespace, it is the pid as seen by the container" */
    return hooks_run("createContainer", h->create_container, h->create_container_n, &s->state);
}

static err *tell_start_hooks(void *ctx)
{
    struct start *s = ctx;
    s->state.init.pid = getpid();
    s->state.status = RUNTIME_CREATED; /* by the time they run it is */
    own_mem char *text = runtime_state_text(&s->state);
    return fs_write_fd(s->hook_state_fd, text, strlen(text), "state");
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

/* The kernel changes one network device at a time, and behind namespaces that are taken down that is a wait of a
 * millisecond: the parent, which has nothing to do, waits it out, and has the rights that the child has. */
static err *ask_for_loopback(void *ctx)
{
    struct start *s = ctx;
    own_fd int sock = -1;
    TRY(namespaces_open_network(&sock));
    return steps_ask(&s->run, sock);
}

static err *await_loopback(void *ctx)
{
    struct start *s = ctx;
    return steps_answer(&s->run);
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
static bool has_start_hooks(const void *ctx)
{
    return ((const struct start *)ctx)->program.start_container_n > 0;
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
    { "bring up the loopback", SIDE_CHILD, ask_for_loopback, new_netns, explain_loopback },
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
    { "tell the hooks of the start", SIDE_CHILD, tell_start_hooks, has_start_hooks, NULL },
    { "write kernel parameters", SIDE_CHILD, write_sysctls, has_sysctls, explain_sysctl },
    { "set the host name", SIDE_CHILD, set_names, has_names, explain_names },
    { "hide and protect paths", SIDE_CHILD, protect, NULL, explain_protect },
    { "change the root", SIDE_CHILD, change_root, NULL, explain_pivot },
    { "wait for the loopback", SIDE_CHILD, await_loopback, new_netns, NULL },
    { "enter the program", SIDE_CHILD, enter_program, NULL, explain_program },
};

const struct step *runtime_create_steps(size_t *ret_n)
{
    *ret_n = ARRAY_SIZE(rows);
    return rows;
}

bool start_hooks_began(const struct start *s)
{
    for (size_t i = 0; s->run.times && i < ARRAY_SIZE(rows); i++)
        if ((rows[i].run == run_runtime_hooks || rows[i].run == run_container_hooks) && s->run.times->begin_ns[i])
            return true;
    return false;
}
