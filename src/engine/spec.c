// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "engine/grammar.h"
#include "engine/options.h"
#include "engine/spec_parts.h"
#include "engine/users.h"
#include "process/profile.h"
#include "process/program.h"

/* Docker's default capabilities. Source: moby, oci/caps/defaults.go. */
static const char *const default_capabilities[] = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE",
};

/* What a container must not see of the host. Source: moby, oci/defaults.go. */
static const char *const masked_paths[] = {
    "/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap",
};
static const char *const readonly_paths[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                              "/proc/sysrq-trigger" };

char *spec_hostname(const char *id, const struct container_config *c)
{
    if (strcmp(c->uts, "private") != 0)
        return NULL; /* the host's, or another container's */
    struct utsname host;
    if (!c->hostname && strcmp(c->network, "host") == 0 && uname(&host) == 0)
        return mem_strdup(host.nodename); /* as docker's and podman's: the name that this network knows */
    return c->hostname ? mem_strdup(c->hostname) : mem_strndup(id, 12);
}

char *spec_cgroup_path(const char *id, const struct container_config *c)
{
    if (c->cgroup_manager)
        return mem_printf("%s:husk:%s", c->cgroup_parent ? c->cgroup_parent : "", id);
    /* relative: below what this user was given, where root's own "/" is out of reach (cgroup_host_base) */
    const char *parent = c->cgroup_parent ? c->cgroup_parent : c->pod_cgroup ? c->pod_cgroup : "husk";
    return mem_printf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, id);
}

bool spec_wants_cgroup(const struct container_config *c)
{
    const struct container_resources *r = c->resources;
    return c->cgroup_parent || c->cgroup_manager ||
           (r &&
            (r->memory.set || r->memory_swap.set || r->memory_reservation.set || r->memory_swappiness.set ||
             r->cpu_period.set || r->cpu_quota.set || r->cpu_shares.set || (r->pids_limit.set && r->pids_limit.v > 0) ||
             r->cpuset_cpus || r->cpuset_mems || r->device_rules.n || r->blkio_weight.set || r->blkio_weight_device.n ||
             r->device_read_bps.n || r->device_write_bps.n || r->device_read_iops.n || r->device_write_iops.n ||
             r->unified.n || r->cpu_rt_period.set || r->cpu_rt_runtime.set || r->oom_kill_disable));
}

static void copy_words(struct strv *to, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        strv_add(to, words[i]);
}

static void copy_unless_shown(const struct strv *shown, struct strv *to, const char *const *paths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool show = false;
        for (size_t k = 0; k < shown->n && !show; k++)
            show = fnmatch(shown->items[k], paths[i], FNM_PATHNAME) == 0;
        if (!show)
            strv_add(to, paths[i]);
    }
}

void spec_hidden_paths(const struct container_config *c, struct strv *masked, struct strv *readonly)
{
    if (!c->privileged && !c->unmask) {
        copy_unless_shown(&c->unmask_paths, masked, masked_paths, ARRAY_SIZE(masked_paths));
        copy_unless_shown(&c->unmask_paths, readonly, readonly_paths, ARRAY_SIZE(readonly_paths));
    }
    strv_copy(masked, c->mask.items, c->mask.n);
}

/* Bits of --cap-add and --cap-drop over the default; `all` is what "ALL" means here. */
static fallible wanted_capabilities(const struct container_config *c, uint64_t all, uint64_t *ret)
{
    uint64_t mask = 0;
    int n;
    bool drop_all = strv_has(&c->cap_drop, "ALL");
    if (c->privileged || strv_has(&c->cap_add, "ALL"))
        mask = all;
    else if (!drop_all)
        for (size_t i = 0; i < ARRAY_SIZE(default_capabilities); i++) {
            TRY(capability_parse(default_capabilities[i], &n));
            mask |= (1ULL << n) & all;
        }
    for (size_t i = 0; i < c->cap_drop.n; i++) {
        if (strcmp(c->cap_drop.items[i], "ALL") == 0)
            continue;
        TRY_AS(capability_parse(c->cap_drop.items[i], &n), "--cap-drop");
        mask &= ~(1ULL << n);
    }
    for (size_t i = 0; i < c->cap_add.n; i++) {
        if (strcmp(c->cap_add.items[i], "ALL") == 0)
            continue;
        TRY_AS(capability_parse(c->cap_add.items[i], &n), "--cap-add");
        if (!((1ULL << n) & all))
            return err_new(ERR_DENIED, "--cap-add: husk itself lacks %s and cannot hand it on: start husk with it",
                           c->cap_add.items[i]);
        mask |= 1ULL << n;
    }
    *ret = mask;
    return NULL;
}

static fallible all_capabilities(bool own_userns, uint64_t *ret)
{
    int known = 0;
    if (!own_userns)
        return capability_bounding(ret);
    while (known < 64 && capability_name(known)) /* a new user namespace begins with every capability */
        known++;
    *ret = known < 64 ? (1ULL << known) - 1 : UINT64_MAX;
    return NULL;
}

static void set_capabilities(struct oci_process *p, uint64_t mask, bool root)
{
    struct oci_capabilities *caps = mem_zalloc(sizeof *caps);
    for (int i = 0; i < 64; i++) {
        const char *name = (mask >> i) & 1 ? capability_name(i) : NULL;
        if (!name)
            continue;
        strv_add(&caps->bounding, name);
        if (root) { /* another user gets them by setuid programs only, as with docker */
            strv_add(&caps->effective, name);
            strv_add(&caps->permitted, name);
        }
    }
    p->capabilities = caps;
}

static struct oci_user *make_user(const struct container_user *u, bool one_group)
{
    struct oci_user *user = mem_zalloc(sizeof *user);
    user->uid = u->uid;
    user->gid = u->gid;
    /* Where one group alone is mapped setgroups(2) is denied, and its own group needs no call. */
    if (u->groups_n > 1 || (u->groups_n && !one_group)) {
        user->additional_gids = json_array();
        for (size_t i = 0; i < u->groups_n; i++)
            (void)json_array_append_new(user->additional_gids, json_integer(u->groups[i]));
    }
    return user;
}

static void env_default(struct strv *env, const char *key, const char *value)
{
    if (!strv_getenv(env, key))
        strv_add_printf(env, "%s=%s", key, value);
}

static void make_env(struct oci_process *p, const struct container_config *c, const char *hostname, const char *home)
{
    if (c->env.n) /* PATH is the first, then what docker sets, then the rest: later ones may refer to it */
        strv_setenv(&p->env, c->env.items[0]);
    if (hostname)
        strv_add_printf(&p->env, "HOSTNAME=%s", hostname);
    if (p->terminal)
        strv_add(&p->env, "TERM=xterm");
    for (size_t i = 1; i < c->env.n; i++)
        strv_setenv(&p->env, c->env.items[i]);
    env_default(&p->env, "HOME", home);
}

static fallible make_rlimits(struct oci_process *p, const struct container_config *c)
{
    if (!c->ulimits_n)
        return NULL;
    p->rlimits = mem_zalloc(c->ulimits_n * sizeof *p->rlimits);
    for (size_t i = 0; i < c->ulimits_n; i++) {
        const struct container_ulimit *u = &c->ulimits[i];
        char *type = mem_printf("RLIMIT_%s", u->name);
        for (char *t = type; *t; t++)
            if (*t >= 'a' && *t <= 'z')
                *t = (char)(*t - 'a' + 'A');
        p->rlimits[i].type = type;
        p->rlimits[i].soft = u->soft == -1 ? UINT64_MAX : (uint64_t)u->soft;
        p->rlimits[i].hard = u->hard == -1 ? UINT64_MAX : (uint64_t)u->hard;
    }
    p->rlimits_n = c->ulimits_n;
    return NULL;
}

static fallible make_process(const struct spec_input *in, const char *hostname, struct oci_spec *spec,
                             uint64_t *ret_capabilities)
{
    const struct container_config *c = in->config;
    struct oci_process *p = spec->process = mem_zalloc(sizeof *p);
    struct container_user user;
    uint64_t all;
    TRY(users_resolve(in->root, c->user, &c->group_add, &user));
    p->user = make_user(&user, in->gids && in->gids->n == 1 && in->gids->ranges[0].count == 1);
    if (c->umask.set)
        p->user->umask = (struct opt_u64){ true, (uint64_t)c->umask.v };
    p->terminal = c->tty;
    make_env(p, c, hostname, user.home);
    container_user_clear(&user);
    strv_copy(&p->args, c->init_chain.items, c->init_chain.n);
    strv_copy(&p->args, c->entrypoint.items, c->entrypoint.n);
    strv_copy(&p->args, c->cmd.items, c->cmd.n);
    if (c->systemd)
        strv_add_printf(&p->env, "container_uuid=%.8s-%.4s-%.4s-%.4s-%.12s", in->id, in->id + 8, in->id + 12,
                        in->id + 16, in->id + 20);
    p->cwd = mem_strdup(c->workdir ? c->workdir : "/");
    p->no_new_privileges = c->no_new_privileges;
    p->apparmor_profile = mem_strdup(c->apparmor);
    p->oom_score_adj = c->oom_score_adj;
    TRY(all_capabilities(in->uids || in->join_user, &all));
    TRY(wanted_capabilities(c, all, ret_capabilities));
    set_capabilities(p, *ret_capabilities, p->user->uid == 0);
    return make_rlimits(p, c);
}

/* What a container in a user namespace of its own may besides: make namespaces below it and mount in them, as an engine
 * inside must. Not network namespaces, whose root would be in the reach of nftables, traffic control and the like; so
 * clone3(2), whose flags no filter can read, stays ENOSYS. docs/adr/0048. */
static void allow_nesting(struct oci_seccomp *s)
{
    static const char *const any[] = { "mount",   "mount_setattr", "move_mount",  "open_tree",    "fsopen",
                                       "fsmount", "fsconfig",      "fspick",      "umount",       "umount2",
                                       "setns",   "pivot_root",    "sethostname", "setdomainname" };
    static const char *const flagged[] = { "clone", "unshare" };
    s->syscalls = mem_array(s->syscalls, s->syscalls_n + 2, sizeof *s->syscalls);
    for (int i = 0; i < 2; i++) {
        struct oci_seccomp_rule *rule = &s->syscalls[s->syscalls_n++];
        *rule = (struct oci_seccomp_rule){ .action = mem_strdup("SCMP_ACT_ALLOW") };
        copy_words(&rule->names, i ? flagged : any, i ? ARRAY_SIZE(flagged) : ARRAY_SIZE(any));
        if (!i)
            continue;
        rule->args = mem_zalloc(sizeof *rule->args);
        rule->args_n = 1;
        *rule->args = (struct oci_seccomp_arg){
            .index = 0, .value = CLONE_NEWNET, .value_two = 0, .op = mem_strdup("SCMP_CMP_MASKED_EQ")
        };
    }
}

static fallible make_seccomp(const struct container_config *c, uint64_t capabilities, bool own_userns,
                             struct oci_seccomp **ret)
{
    if (c->seccomp)
        return seccomp_profile_read(c->seccomp, strlen(c->seccomp), capabilities, ret);
    if (c->seccomp_unconfined || c->privileged)
        return NULL;
    TRY(seccomp_profile_default(capabilities, ret));
    if (own_userns)
        allow_nesting(*ret);
    return NULL;
}

static void add_mappings(const struct id_map *map, struct oci_id_mapping **to, size_t *to_n)
{
    if (!map)
        return;
    *to = mem_zalloc(map->n * sizeof **to);
    for (size_t i = 0; i < map->n; i++)
        (*to)[i] = (struct oci_id_mapping){ map->ranges[i].inside, map->ranges[i].outside, map->ranges[i].count };
    *to_n = map->n;
}

static void add_namespace(struct oci_spec *spec, const char *type, const char *mode, pid_t join, const char *proc_name)
{
    if (join) {
        own_mem char *path = mem_printf("/proc/%d/ns/%s", (int)join, proc_name);
        (void)oci_spec_add_namespace(spec, type, path);
    } else if (strcmp(mode, "host") != 0) {
        (void)oci_spec_add_namespace(spec, type, NULL);
    }
}

/* "ns:PATH" is somebody's who made it before. */
static void add_network_namespace(const struct spec_input *in, struct oci_spec *spec)
{
    if (str_starts(in->config->network, "ns:"))
        (void)oci_spec_add_namespace(spec, "network", in->config->network + 3);
    else
        add_namespace(spec, "network", in->config->network, in->join_network, "net");
}

static void make_namespaces(const struct spec_input *in, struct oci_spec *spec)
{
    const struct container_config *c = in->config;
    pid_t any = in->join_pid       ? in->join_pid
                : in->join_network ? in->join_network
                : in->join_ipc     ? in->join_ipc
                                   : in->join_uts;
    if (str_starts(c->userns, "ns:"))
        (void)oci_spec_add_namespace(spec, "user", c->userns + 3);
    else if (in->join_user)
        add_namespace(spec, "user", "private", any, "user");
    else if (in->uids)
        add_namespace(spec, "user", "private", 0, "user");
    add_namespace(spec, "mount", "private", 0, "mnt");
    add_namespace(spec, "pid", c->pid, in->join_pid, "pid");
    add_network_namespace(in, spec);
    add_namespace(spec, "ipc", c->ipc, in->join_ipc, "ipc");
    add_namespace(spec, "uts", c->uts, in->join_uts, "uts");
    add_namespace(spec, "cgroup", c->cgroupns, 0, "cgroup");
    add_mappings(in->uids, &spec->linux_->uid_mappings, &spec->linux_->uid_mappings_n);
    add_mappings(in->gids, &spec->linux_->gid_mappings, &spec->linux_->gid_mappings_n);
}

fallible spec_make(const struct spec_input *in, struct oci_spec **ret)
{
    const struct container_config *c = in->config;
    own(oci_spec) struct oci_spec *spec = mem_zalloc(sizeof *spec);
    uint64_t capabilities = 0;
    spec->oci_version = mem_strdup(OCI_RUNTIME_VERSION);
    spec->root = mem_zalloc(sizeof *spec->root);
    spec->root->path = mem_strdup(c->rootfs ? c->rootfs : "rootfs");
    spec->root->readonly = c->read_only;
    spec->linux_ = mem_zalloc(sizeof *spec->linux_);
    spec->hostname = spec_hostname(in->id, c);
    if (spec->hostname)
        spec->domainname = mem_strdup(c->domainname);
    TRY(make_process(in, spec->hostname, spec, &capabilities));
    make_namespaces(in, spec);
    TRY(spec_add_mounts(in, spec));
    TRY(spec_add_devices(in, spec));
    TRY(spec_add_resources(in, spec));
    TRY(make_seccomp(c, capabilities, in->uids || in->join_user, &spec->linux_->seccomp));
    spec->linux_->cgroups_path = spec_cgroup_path(in->id, c);
    if (c->personality)
        spec->linux_->personality = json_pack("{s:s}", "domain", c->personality);
    if (c->rdt_class)
        spec->linux_->intel_rdt = json_pack("{s:s}", "closID", c->rdt_class);
    for (size_t i = 0; i < c->sysctl.n; i++)
        strmap_set(&spec->linux_->sysctl, c->sysctl.items[i].key, c->sysctl.items[i].value);
    for (size_t i = 0; i < c->annotations.n; i++)
        strmap_set(&spec->annotations, c->annotations.items[i].key, c->annotations.items[i].value);
    spec_hidden_paths(c, &spec->linux_->masked_paths, &spec->linux_->readonly_paths);
    *ret = take(spec);
    return NULL;
}

fallible spec_make_exec(const struct oci_spec *spec, const struct container_config *c, const struct rootfs_source *root,
                        const struct exec_options *o, char *const *args, size_t args_n, struct oci_process **ret)
{
    const struct oci_process *own_process = spec->process;
    struct container_user user;
    struct oci_process *p = NULL;
    own_strv struct strv env = { 0 };
    for (size_t i = 0; i < o->env_file.n; i++)
        TRY_AS(grammar_env_file(o->env_file.items[i], &env), "--env-file");
    for (size_t i = 0; i < o->env.n; i++)
        TRY_AS(grammar_env(o->env.items[i], &env), "--env");
    if (o->workdir && o->workdir[0] != '/')
        return err_new(ERR_INVALID, "--workdir: '%s' must be an absolute path", o->workdir);
    TRY(users_resolve(root, o->user ? o->user : c->user, o->user ? NULL : &c->group_add, &user));
    p = mem_zalloc(sizeof *p);
    p->user = make_user(&user, spec->linux_->gid_mappings_n == 1 && spec->linux_->gid_mappings[0].size == 1);
    p->user->umask = own_process->user->umask;
    p->terminal = o->tty;
    for (size_t i = 0; i < own_process->env.n; i++)
        if (!str_starts(own_process->env.items[i], "HOME=") || strv_getenv(&c->env, "HOME"))
            strv_add(&p->env, own_process->env.items[i]);
    if (o->tty)
        env_default(&p->env, "TERM", "xterm");
    for (size_t i = 0; i < env.n; i++)
        strv_setenv(&p->env, env.items[i]);
    env_default(&p->env, "HOME", user.home);
    container_user_clear(&user);
    strv_copy(&p->args, args, args_n);
    p->cwd = mem_strdup(o->workdir ? o->workdir : own_process->cwd);
    p->no_new_privileges = own_process->no_new_privileges;
    p->apparmor_profile = mem_strdup(own_process->apparmor_profile);
    p->oom_score_adj = own_process->oom_score_adj;
    uint64_t mask = 0;
    int number;
    const struct strv *bounding = &own_process->capabilities->bounding;
    err *e = NULL;
    if (o->privileged)
        e = all_capabilities(spec->linux_->uid_mappings_n > 0, &mask);
    for (size_t i = 0; !e && !o->privileged && i < bounding->n; i++)
        if (!(e = capability_parse(bounding->items[i], &number)))
            mask |= 1ULL << number;
    if (!e) {
        set_capabilities(p, mask, p->user->uid == 0);
        e = make_rlimits(p, c);
    }
    if (e) {
        bind_free(&oci_process_type, p);
        return e;
    }
    *ret = p;
    return NULL;
}
