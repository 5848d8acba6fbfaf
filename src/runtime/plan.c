// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "namespaces/sysctl.h"
#include "os/userns.h"
#include "rootfs/options.h"
#include "runtime/start.h"

/* The plan: everything that can be refused before anything is made. */

static bool asks_limits(const struct oci_resources *r)
{
    return r && (r->memory || r->cpu || (r->pids && r->pids->limit.set && r->pids->limit.v > 0) || r->block_io ||
                 r->hugepage_limits_n || r->network || r->rdma || r->unified.n);
}

/* Without a list of rules: what linux.devices names may be used, beside what every container has. */
static size_t add_named_devices(const struct oci_linux *l, struct oci_device_cgroup *to)
{
    static char rwm[] = "rwm", c[] = "c", b[] = "b";
    size_t n = 0;
    for (size_t i = 0; l && i < l->devices_n; i++) {
        const struct oci_device *d = &l->devices[i];
        if (d->type[0] != 'p')
            to[n++] = (struct oci_device_cgroup){
                true, d->type[0] == 'b' ? b : c, rwm, { true, d->major }, { true, d->minor }
            };
    }
    return n;
}

/*
 * All is denied but what a rule allows, with a list or without one: "containers may not access any device node that is
 * not either explicitly referenced in the devices array or listed as being part of the default devices" (ADR 0059).
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
    size_t n = l && l->resources ? l->resources->devices_n : 0;
    if (l && l->resources)
        s->resources = *l->resources;
    s->resources.devices_n = 0;
    if (!n && (!s->privileged || s->in_userns || !cgroup_host_has_devices(s->host)))
        return;
    s->resources.devices =
        mem_array(NULL, n + (l ? l->devices_n : 0) + ARRAY_SIZE(defaults), sizeof *s->resources.devices);
    if (n)
        memcpy(s->resources.devices, l->resources->devices, n * sizeof *s->resources.devices);
    else
        n = add_named_devices(l, s->resources.devices);
    memcpy(s->resources.devices + n, defaults, sizeof defaults);
    s->resources.devices_n = n + ARRAY_SIZE(defaults);
}

char *start_root(const struct runtime_create *c)
{
    const char *slash = c->state_dir ? strrchr(c->state_dir, '/') : NULL;
    return slash && slash != c->state_dir ? mem_strndup(c->state_dir, (size_t)(slash - c->state_dir)) : NULL;
}

/* Whether the container may write below its /sys/fs/cgroup: engines in it make groups there, of any controller. */
static bool divides_its_groups(const struct start *s)
{
    const struct oci_spec *spec = s->c->spec;
    for (size_t i = 0; i < spec->mounts_n; i++)
        if (str_eq(spec->mounts[i].type, "cgroup") && !(s->root.options[i].set & MOUNT_ATTR_RDONLY))
            return true;
    return false;
}

/* "/a//b/" is "/a/b", as engines write it that join paths as text; what leads out of it is refused later. */
static char *group_path(const char *text)
{
    own_str struct str path = { 0 };
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "/");
        if (n && (path.len || *text == '/'))
            str_add_char(&path, '/');
        str_add_n(&path, at, n);
        at += n + (at[n] == '/');
    }
    return path.len ? str_take(&path) : mem_strdup("/");
}

static fallible plan_cgroup(struct start *s)
{
    const struct oci_linux *l = s->c->spec->linux_;
    const char *why = NULL;
    if (s->c->cgroup == RUNTIME_CGROUP_NONE)
        return NULL;
    own_mem char *near = start_root(s->c);
    TRY(cgroup_host_open_near(near, &s->host));
    plan_devices(s);
    if (s->c->cgroup_v1_readers)
        cgroup_host_for_v1_readers(s->host);
    if (s->c->cgroup_foreground)
        cgroup_host_for_foreground(s->host);
    if (divides_its_groups(s))
        cgroup_host_for_divisions(s->host);
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
        l && l->cgroups_path && *l->cgroups_path ? group_path(l->cgroups_path) : mem_printf("husk/%s", s->c->id);
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
    t->rootfs = s->c->root->kind == ROOTFS_DIR ? mem_strdup(s->c->root->dir) : NULL;
    t->cgroup_path = s->scope.unit ? NULL : mem_strdup(s->cgroup_path);
    t->scope = mem_strdup(s->scope.unit);
    t->scope_user = s->scope.manager == SCOPE_USER;
    t->status = RUNTIME_CREATING;
    t->created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    t->joined = s->ns.join;
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
