// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/grammar.h"
#include "engine/network_wish.h"
#include "engine/options_parts.h"
#include "engine/paths.h"
#include "engine/secret.h"
#include "monitor/restart.h"
#include "network/egress.h"
#include "network/rate.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/proc.h"
#include "process/landlock.h"
#include "process/program.h"

/* Below this the kernel kills a container's first process before it says a word. Docker's limit. */
enum { MEMORY_MIN_BYTES = 6 << 20 };

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static fallible merge_env(const struct create_options *o, const struct oci_image_run *image, struct container_config *c)
{
    static const struct strv none = { 0 };
    TRY(options_base_env(o, DEFAULT_PATH, image ? &image->env : &none, &c->env));
    for (size_t i = 0; i < o->env_file.n; i++)
        TRY_AS(grammar_env_file(o->env_file.items[i], &c->env), "--env-file");
    for (size_t i = 0; i < o->env.n; i++)
        TRY_AS(grammar_env(o->env.items[i], &c->env), "--env");
    return NULL;
}

/* An entrypoint of the user's drops the image's command as well: it was meant for the image's. */
static fallible merge_command(const struct create_options *o, const struct oci_image_run *image, char *const *args,
                              size_t args_n, struct container_config *c)
{
    if (o->entrypoint) {
        if (*o->entrypoint)
            strv_add(&c->entrypoint, o->entrypoint);
    } else if (image) {
        strv_copy(&c->entrypoint, image->entrypoint.items, image->entrypoint.n);
    }
    if (args_n)
        strv_copy(&c->cmd, args, args_n);
    else if (image && !o->entrypoint)
        strv_copy(&c->cmd, image->cmd.items, image->cmd.n);
    if (!c->entrypoint.n && !c->cmd.n)
        return err_new(ERR_INVALID, "no command: the image names none, so give one after the image");
    return NULL;
}

fallible options_merge_restart(const char *policy, char **ret)
{
    struct restart restart;
    TRY_AS(restart_parse(policy, &restart), "--restart");
    free(*ret);
    *ret = restart.policy == RESTART_NO ? NULL : mem_strdup(policy);
    return NULL;
}

static fallible merge_restart(const struct create_options *o, struct container_config *c)
{
    if (!o->restart)
        return NULL;
    TRY(options_merge_restart(o->restart, &c->restart));
    if (c->restart && o->rm)
        return err_new(ERR_INVALID, "--restart and --rm exclude each other: a container that is removed when it ends "
                                    "cannot be started again");
    return NULL;
}

static fallible merge_program(const struct create_options *o, const struct oci_image_run *image,
                              struct container_config *c)
{
    int number;
    const char *user = o->user ? o->user : image ? image->user : NULL;
    const char *workdir = o->workdir ? o->workdir : image ? image->working_dir : NULL;
    const char *signal = o->stop_signal ? o->stop_signal : image ? image->stop_signal : NULL;
    c->user = mem_strdup(user && *user ? user : NULL);
    if (workdir && *workdir) {
        if (workdir[0] != '/')
            return err_new(ERR_INVALID, "--workdir: '%s' must be an absolute path", workdir);
        c->workdir = paths_clean(workdir);
    }
    if (signal && *signal) {
        TRY_AS(signal_parse(signal, &number), "--stop-signal");
        c->stop_signal = mem_strdup(signal);
    }
    c->stop_timeout = o->stop_timeout;
    if (o->timeout.set && o->timeout.v < 0)
        return err_new(ERR_INVALID, "--timeout: it must not be negative");
    c->timeout_s = o->timeout.v;
    TRY(merge_restart(o, c));
    TRY(options_merge_health(&o->health, image, NULL, &c->health));
    c->tty = o->tty;
    c->stdin_open = o->interactive;
    c->init = o->init;
    for (size_t i = 0; image && i < image->labels.n; i++)
        strmap_set(&c->labels, image->labels.items[i].key, image->labels.items[i].value);
    for (size_t i = 0; i < o->label_file.n; i++)
        TRY_AS(grammar_label_file(o->label_file.items[i], &c->labels), "--label-file");
    for (size_t i = 0; i < o->label.n; i++)
        TRY_AS(grammar_label(o->label.items[i], &c->labels), "--label");
    for (size_t i = 0; i < o->annotation.n; i++)
        TRY_AS(grammar_label(o->annotation.items[i], &c->annotations), "--annotation");
    return NULL;
}

static bool has_target(const struct container_config *c, const char *target)
{
    for (size_t i = 0; i < c->mounts_n; i++)
        if (strcmp(c->mounts[i].target, target) == 0)
            return true;
    return false;
}

typedef err *mount_fn(const char *text, struct container_mount *ret);

static fallible add_mounts(const struct strv *texts, const char *option, mount_fn *parse, struct container_config *c)
{
    for (size_t i = 0; i < texts->n; i++) {
        struct container_mount m;
        bool said = false;
        for (size_t k = 0; k < i && !said; k++) /* by scripts that put their options together */
            said = strcmp(texts->items[k], texts->items[i]) == 0;
        if (said)
            continue;
        TRY_AS(parse(texts->items[i], &m), "%s", option);
        if (has_target(c, m.target)) {
            err *e = err_new(ERR_INVALID, "%s: two mounts on '%s'", option, m.target);
            container_mount_clear(&m);
            return e;
        }
        *container_config_add_mount(c) = m;
    }
    return NULL;
}

static fallible merge_mounts(const struct create_options *o, const struct oci_image_run *image,
                             struct container_config *c)
{
    if (o->volume_driver)
        TRY_AS(grammar_volume_driver(o->volume_driver), "--volume-driver");
    TRY(add_mounts(&o->volume, "--volume", grammar_volume, c));
    TRY(add_mounts(&o->mount, "--mount", grammar_mount, c));
    TRY(add_mounts(&o->tmpfs, "--tmpfs", grammar_tmpfs, c));
    for (size_t i = 0; image && i < image->volumes.n; i++) {
        own_mem char *target = paths_clean(image->volumes.items[i]);
        if (has_target(c, target) || strcmp(target, "/") == 0)
            continue; /* the user's own mount stands in for the image's volume */
        struct container_mount *m = container_config_add_mount(c);
        m->type = mem_strdup("volume");
        m->target = take(target);
        m->anonymous = m->from_image = true;
    }
    return NULL;
}

/* DIR[:O|:idmap], as podman has it. A directory whose name ends so is named with a slash behind it. */
static fallible merge_rootfs(const struct create_options *o, struct container_config *c)
{
    own_mem char *path = mem_strdup(o->rootfs);
    char *colon = strrchr(path, ':');
    bool overlay = colon && str_eq(colon, ":O"), idmap = colon && str_eq(colon, ":idmap");
    if (overlay || idmap)
        *colon = '\0';
    /* with a user namespace of its own that is what happens anyway */
    if (idmap && !(o->userns && str_eq(o->userns, "auto")))
        return err_new(ERR_INVALID, "--rootfs '%s': files are id-mapped for a user namespace: add --userns auto",
                       o->rootfs);
    c->rootfs_overlay = overlay;
    return paths_absolute(path, &c->rootfs);
}

static fallible merge_root(const struct create_options *o, const struct image *image, struct container_config *c)
{
    if (image)
        strv_copy(&c->layers, image->config->rootfs->diff_ids.items, image->config->rootfs->diff_ids.n);
    if (o->rootfs)
        TRY(merge_rootfs(o, c));
    for (size_t i = 0; i < o->secret.n; i++) {
        c->secrets = mem_array(c->secrets, c->secrets_n + 1, sizeof *c->secrets);
        TRY_AS(secret_grammar(o->secret.items[i], &c->secrets[c->secrets_n]), "--secret");
        c->secrets_n++;
    }
    c->read_only = o->read_only;
    c->auto_remove = o->rm;
    c->platform = mem_strdup(o->platform);
    c->shm_bytes = o->shm_size.set ? o->shm_size.v : SHM_DEFAULT_BYTES;
    if (c->shm_bytes <= 0)
        return err_new(ERR_INVALID, "--shm-size: it must be more than 0");
    for (size_t i = 0; i < o->device.n; i++) {
        c->devices = mem_array(c->devices, c->devices_n + 1, sizeof *c->devices);
        TRY_AS(grammar_device(o->device.items[i], &c->devices[c->devices_n]), "--device");
        c->devices_n++;
    }
    return NULL;
}

/* A namespace word: one of the row's own, or "container:NAME". */
static const struct mode {
    const char *option;
    size_t wish, field; /* in create_options, in container_config */
    const char *words;  /* space-separated; the first is the default */
    bool container;
} modes[] = {
#define MODE(option, name, words, container)                                                                           \
    {                                                                                                                  \
        option, offsetof(struct create_options, name), offsetof(struct container_config, name), words, container       \
    }
    MODE("--pid", pid, "private host", true),
    MODE("--ipc", ipc, "private host none shareable", true),
    MODE("--uts", uts, "private host", true),
    MODE("--userns", userns, "default host auto", false),
    MODE("--cgroupns", cgroupns, "private host", false),
#undef MODE
};

static fallible merge_mode(const struct mode *mode, const char *wish, char **slot)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, mode->words, ' ');
    if (!wish || !*wish)
        wish = words.items[0];
    bool ok = strv_has(&words, wish) || (mode->container && str_starts(wish, "container:") && wish[10]);
    if (!ok) {
        own_str struct str list = { 0 };
        for (size_t i = 0; i < words.n; i++)
            str_printf(&list, "%s%s", i ? ", " : "", words.items[i]);
        return err_new(ERR_INVALID, "%s: '%s' is not one of %s%s", mode->option, wish, list.text,
                       mode->container ? ", container:NAME" : "");
    }
    /* every namespace of ours can be joined by who may stop the container: docker's word for that is the default */
    *slot = mem_strdup(str_eq(wish, "shareable") ? "private" : wish);
    return NULL;
}

static fallible check_ips(const struct strv *list, const char *option)
{
    for (size_t i = 0; i < list->n; i++)
        if (!grammar_is_ip(list->items[i]))
            return err_new(ERR_INVALID, "%s: '%s' is no IP address", option, list->items[i]);
    return NULL;
}

/* "none", as podman has it: the image's own file. */
static fallible merge_dns(const struct create_options *o, struct container_config *c)
{
    c->no_resolv = strv_has(&o->dns, "none");
    if (c->no_resolv && (o->dns.n > 1 || o->dns_search.n || o->dns_option.n))
        return err_new(ERR_INVALID, "--dns none leaves the image's /etc/resolv.conf as it is: it excludes %s",
                       o->dns.n > 1      ? "other name servers"
                       : o->dns_search.n ? "--dns-search"
                                         : "--dns-option");
    if (c->no_resolv)
        return NULL;
    TRY(check_ips(&o->dns, "--dns"));
    strv_copy(&c->dns, o->dns.items, o->dns.n);
    return NULL;
}

static bool is_hostname(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    size_t n = strlen(text);
    return n && n <= 64 && strspn(text, letters) == n && text[0] != '-' && text[0] != '.';
}

/* In a container, where no new /proc may be mounted: with a pid namespace its numbers would not be those that it sees.
 */
static void share_pids(struct container_config *c)
{
    if (!engine_is_rootless() || geteuid() != 0 || ids_may_mount_proc())
        return;
    log_info("--pid: in this container no pid namespace could have a /proc: its own is used");
    free(c->pid);
    c->pid = mem_strdup("host");
}

/* podman's word: our own additional groups stay, which a map of an ordinary user's cannot name. */
static fallible merge_groups(const struct strv *groups, struct container_config *c)
{
    bool keep = strv_has(groups, "keep-groups");
    if (keep && groups->n > 1)
        return err_new(ERR_INVALID, "keep-groups and other groups exclude each other: none can be added to those kept");
    if (keep)
        strmap_set(&c->annotations, KEEP_GROUPS_ANNOTATION, "1");
    else
        strv_copy(&c->group_add, groups->items, groups->n);
    return NULL;
}

static fallible merge_world(const struct create_options *o, const struct oci_image_run *image,
                            struct container_config *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        const char *wish = *(const char *const *)((const char *)o + modes[i].wish);
        if (modes[i].wish == offsetof(struct create_options, userns))
            continue; /* options_merge_userns() */
        TRY(merge_mode(&modes[i], wish, (char **)((char *)c + modes[i].field)));
    }
    if (!o->pid || !*o->pid)
        share_pids(c);
    bool own_uts = strcmp(c->uts, "host") != 0;
    if (o->hostname && !own_uts)
        return err_new(ERR_INVALID, "--hostname: with --uts host the container has the host's name");
    if (o->hostname && !is_hostname(o->hostname))
        return err_new(ERR_INVALID, "--hostname: '%s' is no host name", o->hostname);
    if (o->domainname && !is_hostname(o->domainname))
        return err_new(ERR_INVALID, "--domainname: '%s' is no domain name", o->domainname);
    c->hostname = mem_strdup(o->hostname);
    c->domainname = mem_strdup(o->domainname);
    for (size_t i = 0; i < o->add_host.n; i++) {
        own_mem char *host = NULL;
        TRY_AS(grammar_add_host(o->add_host.items[i], &host), "--add-host");
        strv_add_take(&c->add_hosts, take(host));
    }
    TRY(merge_dns(o, c));
    own(egress) struct egress egress = { 0 };
    TRY(egress_read(&o->egress, &egress));
    strv_copy(&c->egress, o->egress.items, o->egress.n);
    if (o->net_rate) {
        struct rate rate;
        TRY_AS(rate_parse(o->net_rate, &rate), "--net-rate");
        c->net_rate = mem_strdup(o->net_rate);
    }
    for (size_t i = 0; image && i < image->exposed_ports.n; i++)
        TRY_AS(network_expose_parse(image->exposed_ports.items[i], &c->exposed), "the image's exposed ports");
    for (size_t i = 0; i < o->expose.n; i++)
        TRY_AS(network_expose_parse(o->expose.items[i], &c->exposed), "--expose");
    c->publish_all = o->publish_all;
    strv_copy(&c->dns_search, o->dns_search.items, o->dns_search.n);
    strv_copy(&c->dns_options, o->dns_option.items, o->dns_option.n);
    TRY_AS(merge_groups(&o->group_add, c), "--group-add");
    for (size_t i = 0; i < o->sysctl.n; i++)
        TRY_AS(grammar_sysctl(o->sysctl.items[i], &c->sysctl), "--sysctl");
    return NULL;
}

static fallible merge_capabilities(const struct strv *from, const char *option, struct strv *to)
{
    for (size_t i = 0; i < from->n; i++) {
        int number;
        if (strcasecmp(from->items[i], "all") == 0) {
            strv_add(to, "ALL");
            continue;
        }
        TRY_AS(capability_parse(from->items[i], &number), "%s", option);
        strv_add(to, capability_name(number));
    }
    return NULL;
}

static fallible merge_rights(const struct create_options *o, struct container_config *c)
{
    c->privileged = o->privileged;
    TRY(merge_capabilities(&o->cap_add, "--cap-add", &c->cap_add));
    TRY(merge_capabilities(&o->cap_drop, "--cap-drop", &c->cap_drop));
    for (size_t i = 0; i < o->security_opt.n; i++)
        TRY_AS(options_merge_security(o->security_opt.items[i], c), "--security-opt");
    for (size_t i = 0; i < o->ulimit.n; i++) {
        c->ulimits = mem_array(c->ulimits, c->ulimits_n + 1, sizeof *c->ulimits);
        TRY_AS(grammar_ulimit(o->ulimit.items[i], &c->ulimits[c->ulimits_n]), "--ulimit");
        c->ulimits_n++;
    }
    if (o->oom_score_adj.set && (o->oom_score_adj.v < -1000 || o->oom_score_adj.v > 1000))
        return err_new(ERR_INVALID, "--oom-score-adj: it is from -1000 to 1000");
    c->oom_score_adj = o->oom_score_adj;
    return NULL;
}

/*
 * How much stands between the program and the host. A jail has its own root in a mount namespace of its own, shares
 * every other namespace with the host (an ordinary user's has a user namespace, without which he may mount nothing),
 * and is kept from the host's processes by Landlock instead.
 */
static fallible merge_isolation(const struct create_options *o, struct container_config *c)
{
    const char *wish = o->isolation && *o->isolation ? o->isolation : "container";
    if (str_eq(wish, "default")) /* docker's word for what its platform has */
        wish = "container";
    if (str_eq(wish, "sandbox") || str_eq(wish, "vm"))
        return err_new(ERR_UNSUPPORTED, "--isolation %s: husk has container and jail", wish);
    if (!str_eq(wish, "container") && !str_eq(wish, "jail"))
        return err_new(ERR_INVALID, "--isolation: '%s' is not one of container, jail", wish);
    c->isolation = mem_strdup(wish);
    if (str_eq(wish, "container"))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        const char *asked = *(const char *const *)((const char *)o + modes[i].wish);
        char **slot = (char **)((char *)c + modes[i].field);
        bool user = str_eq(modes[i].option, "--userns");
        if (asked && *asked && !str_eq(asked, "host") && !(user && str_eq(asked, "default")))
            return err_new(ERR_INVALID, "--isolation jail: it has no namespace for %s %s: --isolation container has",
                           modes[i].option, asked);
        if (user)
            continue;
        free(*slot);
        *slot = mem_strdup("host");
    }
    free(c->network);
    c->network = mem_strdup("host");
    const char *network = o->network.n ? o->network.items[0] : o->net.n ? o->net.items[0] : NULL;
    if (network && *network && !str_eq(network, "host"))
        return err_new(ERR_INVALID, "--isolation jail: it has no namespace for --network %s: --isolation container has",
                       network);
    if (o->hostname || o->domainname)
        return err_new(ERR_INVALID, "--isolation jail: it has the host's name: --hostname needs --isolation container");
    if (!strmap_get(&c->annotations, LANDLOCK_ANNOTATION))
        strmap_set(&c->annotations, LANDLOCK_ANNOTATION, "exec:/,rw:/,scope:signal,scope:abstract");
    return NULL;
}

static fallible merge_memory(const struct create_options *o, struct container_resources *r)
{
    if (o->memory.set && o->memory.v == 0)
        return NULL; /* docker's word for no limit */
    if (o->memory.set && o->memory.v > 0 && o->memory.v < MEMORY_MIN_BYTES)
        return err_new(ERR_INVALID, "--memory: less than 6m, and no program starts in that");
    r->memory = o->memory;
    r->memory_reservation = o->memory_reservation;
    if (o->memory_reservation.set && o->memory.set && o->memory_reservation.v > o->memory.v)
        return err_new(ERR_INVALID, "--memory-reservation: more than --memory");
    if (o->memory_swap.set && o->memory_swap.v > 0) {
        if (!o->memory.set)
            return err_new(ERR_INVALID, "--memory-swap: it counts memory and swap together, so give --memory as well");
        if (o->memory_swap.v < o->memory.v)
            return err_new(ERR_INVALID, "--memory-swap: it counts memory and swap together, so not less than --memory");
    }
    r->memory_swap = o->memory_swap;
    if (o->memory_swap.set && o->memory_swap.v == 0)
        r->memory_swap.set = false;
    if (o->memory_swappiness.set && (o->memory_swappiness.v < 0 || o->memory_swappiness.v > 100))
        return err_new(ERR_INVALID, "--memory-swappiness: it is from 0 to 100");
    r->memory_swappiness = o->memory_swappiness;
    return NULL;
}

static fallible merge_cpu(const struct create_options *o, struct container_resources *r)
{
    enum { PERIOD_US = 100000 };
    r->cpu_period = o->cpu_period;
    r->cpu_quota = o->cpu_quota;
    if (o->cpus) {
        int64_t quota;
        if (o->cpu_period.set || o->cpu_quota.set)
            return err_new(ERR_INVALID, "--cpus and --cpu-period or --cpu-quota exclude each other");
        TRY_AS(parse_scaled(o->cpus, PERIOD_US, &quota), "--cpus");
        if (quota < 1000 && quota != 0)
            return err_new(ERR_INVALID, "--cpus: '%s' is less than the kernel's least, 0.01", o->cpus);
        if (quota) {
            r->cpu_period = (struct opt_i64){ true, PERIOD_US };
            r->cpu_quota = (struct opt_i64){ true, quota };
        }
    }
    if (o->cpu_shares.set && o->cpu_shares.v && (o->cpu_shares.v < 2 || o->cpu_shares.v > 262144))
        return err_new(ERR_INVALID, "--cpu-shares: it is from 2 to 262144");
    if (o->cpu_shares.set && o->cpu_shares.v)
        r->cpu_shares = o->cpu_shares;
    if (o->cpuset_cpus)
        TRY_AS(grammar_cpu_list(o->cpuset_cpus), "--cpuset-cpus");
    if (o->cpuset_mems)
        TRY_AS(grammar_cpu_list(o->cpuset_mems), "--cpuset-mems");
    r->cpuset_cpus = mem_strdup(o->cpuset_cpus);
    r->cpuset_mems = mem_strdup(o->cpuset_mems);
    return NULL;
}

fallible options_merge_limits(const struct create_options *o, struct container_config *c)
{
    c->resources = mem_zalloc(sizeof *c->resources);
    TRY(merge_memory(o, c->resources));
    TRY(merge_cpu(o, c->resources));
    TRY(options_more_limits(o, c->resources));
    if (o->pids_limit.set && o->pids_limit.v < -1)
        return err_new(ERR_INVALID, "--pids-limit: a number, or -1 for no limit");
    c->resources->pids_limit = o->pids_limit;
    if (o->pids_limit.set && o->pids_limit.v == 0)
        c->resources->pids_limit.v = -1;
    for (size_t i = 0; i < o->device_rule.n; i++)
        TRY_AS(grammar_device_rule(o->device_rule.items[i]), "--device-cgroup-rule");
    strv_copy(&c->resources->device_rules, o->device_rule.items, o->device_rule.n);
    bool systemd = str_eq(o->cgroup_manager, "systemd");
    if (systemd && o->cgroup_parent && (!str_ends(o->cgroup_parent, ".slice") || strpbrk(o->cgroup_parent, "/:")))
        return err_new(ERR_INVALID, "--cgroup-parent: '%s': with systemd it is the name of a slice, like 'user.slice'",
                       o->cgroup_parent);
    c->cgroup_manager = systemd ? mem_strdup("systemd") : NULL;
    if (systemd) {
        c->cgroup_parent = mem_strdup(o->cgroup_parent);
    } else if (o->cgroup_parent) {
        own_mem char *absolute = mem_printf("/%s", o->cgroup_parent);
        own_mem char *clean = paths_clean(absolute);
        if (strstr(o->cgroup_parent, ".."))
            return err_new(ERR_INVALID, "--cgroup-parent: '%s' has '..' in it", o->cgroup_parent);
        c->cgroup_parent = take(clean);
    }
    return NULL;
}

fallible options_merge(const struct create_options *o, const struct image *image, char *const *args, size_t args_n,
                       struct container_config **ret)
{
    own(container_config) struct container_config *c = mem_zalloc(sizeof *c);
    const struct oci_image_run *run = image ? image->config->config : NULL;
    TRY(merge_env(o, run, c));
    TRY(merge_command(o, run, args, args_n, c));
    TRY(merge_program(o, run, c));
    TRY(merge_root(o, image, c));
    TRY(merge_mounts(o, run, c));
    TRY(merge_world(o, run, c));
    TRY(options_merge_userns(o, c));
    TRY(merge_rights(o, c));
    TRY(merge_isolation(o, c));
    TRY(options_merge_limits(o, c));
    TRY(options_merge_log(o, c));
    TRY(options_merge_more(o, c));
    *ret = take(c);
    return NULL;
}
