// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "engine/container_parts.h"
#include "engine/grammar.h"
#include "engine/names.h"
#include "engine/pod_parts.h"
#include "engine/spec_parts.h"
#include "monitor/events.h"
#include "os/fault.h"
#include "os/fs.h"
#include "os/proc.h"

enum { NAME_ATTEMPTS = 50, ID_FILE_MAX = 4096 };

#define T struct pod_config
static const struct bind_field fields[] = {
    BIND_MAP(T, labels, "labels"),
    BIND_STRS(T, share, "share"),
    BIND_STR(T, exit_policy, "exitPolicy"),
    BIND_STR(T, restart, "restart"),
    BIND_STR(T, cgroup, "cgroup"),
    BIND_BOOL(T, no_hosts, "noHosts"),
    BIND_BOOL(T, no_hostname, "noHostname"),
    BIND_STRS(T, devices, "devices"),
    BIND_STRS(T, security, "security"),
    BIND_OBJ(T, resources, "resources", container_resources_type),
    BIND_END,
};
#undef T
const struct bind_type pod_config_type = { "pod", sizeof(struct pod_config), fields, false };

void pod_free(struct pod *p)
{
    if (!p)
        return;
    db_pod_clear(&p->row);
    bind_free(&pod_config_type, p->config);
    free(p);
}

static fallible pod_of_row(struct engine *e, struct db_pod *take_row, struct pod **ret)
{
    own(pod) struct pod *p = mem_zalloc(sizeof *p);
    void *config = NULL;
    p->engine = e;
    p->row = *take_row;
    *take_row = (struct db_pod){ 0 };
    TRY_AS(bind_read(&pod_config_type, p->row.config, strlen(p->row.config), &config), "pod %.12s", p->row.id);
    p->config = config;
    *ret = take(p);
    return NULL;
}

fallible pod_find(struct engine *e, const char *what, struct pod **ret)
{
    struct db *db = NULL;
    struct db_pod row;
    TRY(engine_db_if_there(e, &db));
    if (!db)
        return err_new(ERR_NOT_FOUND, "no such pod: '%s'", what);
    TRY(db_pod_find(db, what, &row));
    return pod_of_row(e, &row, ret);
}

void pod_list_clear(struct pod_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        pod_free(l->items[i]);
    free(l->items);
    *l = (struct pod_list){ 0 };
}

fallible pod_list(struct engine *e, struct pod_list *ret)
{
    own(pod_list) struct pod_list l = { 0 };
    struct db *db = NULL;
    struct db_pod *rows = NULL;
    size_t n = 0;
    err *failed = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_pod_list(db, &rows, &n));
    l.items = mem_array(NULL, n + 1, sizeof *l.items);
    for (size_t i = 0; i < n; i++) {
        if (!failed)
            failed = pod_of_row(e, &rows[i], &l.items[l.n]);
        l.n += !failed;
        db_pod_clear(&rows[i]);
    }
    free(rows);
    TRY(failed);
    *ret = l;
    l = (struct pod_list){ 0 };
    return NULL;
}

/* ---- a new one --------------------------------------------------------------------------------------------------- */

static fallible read_share(const struct pod_options *o, bool infra, struct strv *ret)
{
    static const char *const words[] = { "ipc", "net", "uts", "pid" };
    own_strv struct strv wish = { 0 };
    if (!o->share && infra)
        for (size_t i = 0; i < 3; i++)
            strv_add(ret, words[i]);
    if (!o->share || !*o->share || strcmp(o->share, "none") == 0)
        return NULL;
    if (!infra)
        return err_new(ERR_INVALID, "--share: without an infra there is nobody to hold what is shared: leave out "
                                    "--infra=false");
    const char *text = o->share[0] == '+' ? o->share + 1 : o->share;
    for (size_t i = 0; o->share[0] == '+' && i < 3; i++)
        strv_add(ret, words[i]);
    strv_split(&wish, text, ',');
    for (size_t i = 0; i < wish.n; i++) {
        bool known = false;
        for (size_t k = 0; k < ARRAY_SIZE(words); k++)
            known |= strcmp(wish.items[i], words[k]) == 0;
        if (strcmp(wish.items[i], "cgroup") == 0)
            return err_new(ERR_UNSUPPORTED, "--share cgroup: each container sees its own control group as the root: "
                                            "--cgroupns host shows them the host's");
        if (!known)
            return err_new(ERR_INVALID, "--share: '%s' is not one of ipc, net, pid, uts, none", wish.items[i]);
        if (!strv_has(ret, wish.items[i]))
            strv_add(ret, wish.items[i]);
    }
    return NULL;
}

static fallible must_share(const struct pod_config *c, const char *kind, const char *option, bool said)
{
    return said && !strv_has(&c->share, kind)
               ? err_new(ERR_INVALID, "%s: it is for a pod that shares %s: add it to --share", option, kind)
               : NULL;
}

bool pod_says_limits(const struct create_options *o)
{
    return o->memory.set || o->memory_swap.set || o->memory_reservation.set || o->cpus || o->cpu_period.set ||
           o->cpu_quota.set || o->cpu_shares.set || o->cpuset_cpus || o->cpuset_mems || o->pids_limit.set ||
           o->blkio_weight.set || o->blkio_weight_device.n || o->device_read_bps.n || o->device_write_bps.n;
}

static fallible configure(const struct pod_options *p, const struct create_options *o, const char *id, bool infra,
                          struct pod_config *c)
{
    own(container_config) struct container_config *limits = mem_zalloc(sizeof *limits);
    for (size_t i = 0; i < o->label_file.n; i++)
        TRY_AS(grammar_label_file(o->label_file.items[i], &c->labels), "--label-file");
    for (size_t i = 0; i < o->label.n; i++)
        TRY_AS(grammar_label(o->label.items[i], &c->labels), "--label");
    TRY(read_share(p, infra, &c->share));
    TRY(must_share(c, "net", "--network",
                   o->network.n || o->net.n || o->publish.n || o->ip || o->ip6 || o->mac_address));
    TRY(must_share(c, "pid", "--pid", o->pid));
    TRY(must_share(c, "uts", "--uts", o->uts));
    TRY(must_share(c, "uts", "--hostname", o->hostname));
    TRY(must_share(c, "net", "--hosts-file", o->hosts_file));
    if (str_eq(o->hosts_file, "image"))
        return err_new(ERR_INVALID, "--hosts-file image: a pod has no image: give a file, or none, or say it of each "
                                    "container");
    if (o->no_hosts && (o->add_host.n || o->hosts_file)) /* without an infra nobody else would look */
        return err_new(ERR_INVALID, "--no-hosts and %s exclude each other",
                       o->hosts_file ? "--hosts-file" : "--add-host");
    c->no_hosts = o->no_hosts;
    c->no_hostname = o->no_hostname;
    c->exit_policy = mem_strdup(p->exit_policy ? p->exit_policy : "continue");
    if (o->restart)
        TRY(options_merge_restart(o->restart, &c->restart));
    strv_copy(&c->devices, o->device.items, o->device.n);
    strv_copy(&c->security, o->security_opt.items, o->security_opt.n);
    TRY(options_merge_limits(o, limits)); /* its --cgroup-parent too */
    bool parent = !p->share_parent.set || p->share_parent.v;
    if (parent)
        c->cgroup = mem_printf("%s/pod-%s", limits->cgroup_parent ? limits->cgroup_parent : "husk", id);
    if (pod_says_limits(o) && !parent)
        return err_new(ERR_INVALID, "--share-parent=false: without a control group for all there is none to limit");
    if (pod_says_limits(o)) {
        c->resources = limits->resources;
        limits->resources = NULL;
    }
    return NULL;
}

static err *add_pod(void *ctx)
{
    const struct pod *p = ctx;
    struct db *db;
    TRY(engine_db(p->engine, &db));
    return db_pod_add(db, &p->row);
}

void pod_say(const struct pod *p, const char *action)
{
    event_say(p->engine->run, "pod", action, p->row.id, "name", p->row.name, NULL);
}

err *pod_add_row(void *ctx)
{
    return add_pod(ctx);
}

/* The infra's own options: the pod's, without what is the members' or of all together. */
static fallible create_infra(struct pod *p, const struct pod_options *po, const struct create_options *o,
                             struct container **ret)
{
    own_mem char *init = NULL, *name = NULL, *bind = NULL;
    struct create_options infra = *o;
    static const struct opt_i64 unset;
    static const struct strv none;
    TRY(self_find_program("husk-init", &init));
    name = po->infra_name ? mem_strdup(po->infra_name) : mem_printf("%.12s-infra", p->row.id);
    bind = mem_printf("%s:%s:ro", init, POD_HOLDER);
    own_strv struct strv volumes = { 0 }, no_caps = { 0 }, security = { 0 };
    strv_copy(&volumes, o->volume.items, o->volume.n);
    strv_add(&volumes, bind);
    strv_add(&no_caps, "ALL");
    strv_add(&security, "no-new-privileges");
    infra.name = name;
    infra.label = infra.label_file = infra.security_opt = infra.device = none;
    infra.memory = infra.memory_swap = infra.memory_reservation = infra.cpu_period = infra.cpu_quota =
        infra.cpu_shares = infra.pids_limit = infra.blkio_weight = unset;
    infra.cpus = infra.cpuset_cpus = infra.cpuset_mems = infra.cgroup_parent = NULL;
    infra.blkio_weight_device = infra.device_read_bps = infra.device_write_bps = none;
    infra.restart = NULL;
    infra.volume = volumes;
    infra.cap_drop = no_caps;
    infra.security_opt = security;
    infra.read_only = true;
    infra.cgroups = "disabled"; /* it does nothing that could be limited: it stays where its monitor is */
    infra.log_driver = "none";
    infra.health = (struct health_options){ .none = true };
    infra.stop_timeout = (struct opt_i64){ true, 5 };
    if (!o->hostname && strv_has(&p->config->share, "uts") && !o->uts)
        infra.hostname = p->row.name;
    bool net = strv_has(&p->config->share, "net");
    own_strv struct strv no_network = { 0 };
    strv_add(&no_network, "none");
    if (!net)
        infra.network = no_network;
    char *args[] = { (char[]){ POD_HOLDER }, (char[]){ "-P" } };
    infra.infra_of = p;
    return container_create(p->engine, &infra, args, ARRAY_SIZE(args), ret);
}

fallible pod_name(struct engine *e, const char *wish, char **ret)
{
    if (wish) {
        TRY_AS(grammar_name("pod name", wish), "--name");
        *ret = mem_strdup(wish);
        return NULL;
    }
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        own_mem char *name = names_random(attempt);
        own(pod) struct pod *other = NULL;
        err *missing = pod_find(e, name, &other);
        bool is_free = err_is(missing, ERR_NOT_FOUND);
        err_ignore(missing, "nobody has it");
        if (is_free) {
            *ret = take(name);
            return NULL;
        }
    }
    return err_new(ERR_EXHAUSTED, "no random name is free: give one with --name");
}

fallible pod_remove_old(struct engine *e, const char *name, bool *ret_removed)
{
    own(pod) struct pod *old = NULL;
    err *missing = pod_find(e, name, &old);
    if (err_is(missing, ERR_NOT_FOUND)) {
        err_free(missing);
        return NULL;
    }
    TRY(missing);
    if (strcmp(old->row.name, name) != 0)
        return NULL; /* its ID begins so: another's */
    TRY_AS(pod_remove(old, &(struct remove_options){ .force = true }), "--replace");
    *ret_removed = true;
    return NULL;
}

static fallible write_id(const char *path, const char *id)
{
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST)
        return err_new(ERR_EXISTS, "--pod-id-file: '%s' exists: remove it, or name another", path);
    return fd < 0 ? err_sys(errno, "--pod-id-file: make '%s'", path) : fs_write_fd(fd, id, strlen(id), path);
}

fallible pod_name_is_free(struct db *db, const char *name)
{
    struct db_pod there = { 0 };
    err *e = db_pod_find(db, name, &there);
    bool taken = !e && str_eq(there.name, name);
    db_pod_clear(&there);
    err_ignore(e, "nobody has it; asked again in the transaction");
    return taken ? err_new(ERR_EXISTS, "there already is a pod '%s': remove it, or choose another name", name) : NULL;
}

void pod_begin(struct engine *e, struct pod *p)
{
    struct timespec now = { 0 };
    char id[65];
    random_hex(id, 32);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    p->engine = e;
    p->row.id = mem_strdup(id);
    p->row.created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static fallible add_alone(struct pod *p, const struct create_options *o)
{
    struct db *db;
    bool replaced = false;
    TRY(engine_db(p->engine, &db));
    if (o->replace)
        TRY(pod_remove_old(p->engine, o->name, &replaced));
    return db_pod_add(db, &p->row);
}

fallible pod_create(struct engine *e, const struct pod_options *po, const struct create_options *o, struct pod **ret)
{
    own(pod) struct pod *p = mem_zalloc(sizeof *p);
    own(container) struct container *infra = NULL;
    struct db *db;
    bool with_infra = !po->infra.set || po->infra.v;
    if (o->replace && !o->name)
        return err_new(ERR_INVALID, "--replace: it is for a pod with a name: give --name");
    pod_begin(e, p);
    TRY(pod_name(e, o->name, &p->row.name));
    p->config = mem_zalloc(sizeof *p->config);
    TRY(configure(po, o, p->row.id, with_infra, p->config));
    TRY(engine_db(e, &db));
    if (!o->replace)
        TRY(pod_name_is_free(db, p->row.name));
    if (po->id_file)
        TRY(write_id(po->id_file, p->row.id));
    p->row.config = bind_write(&pod_config_type, p->config, BIND_COMPACT);
    err *failed = with_infra ? create_infra(p, po, o, &infra) : add_alone(p, o);
    if (failed && po->id_file)
        (void)unlink(po->id_file);
    TRY(failed);
    fault_here(FAULT_POD_MADE);
    if (infra)
        container_keep(infra);
    else
        engine_settle(e, NULL);
    pod_say(p, "create");
    *ret = take(p);
    return NULL;
}

/* ---- a new member ------------------------------------------------------------------------------------------------ */

fallible pod_join(const struct pod *p, struct container_config *c)
{
    if (c->infra)
        return NULL;
    if (p->config->cgroup && !c->cgroup_parent && !c->cgroup_manager)
        c->pod_cgroup = mem_strdup(p->config->cgroup);
    if (p->config->resources && !c->pod_cgroup)
        return err_new(ERR_INVALID, "--cgroup-parent: the pod '%s' has limits, which its containers cannot leave",
                       p->row.name);
    c->pod_ends = str_eq(p->config->exit_policy, "stop") && !c->infra && !c->init_ctr;
    return NULL;
}

/* How a member has what the infra has: "container:INFRA", or the host's where the infra has that. Caller frees. */
static char *joined(const struct pod *p, const char *theirs)
{
    return strcmp(theirs, "host") == 0 ? mem_strdup("host") : mem_printf("container:%s", p->row.infra);
}

static fallible refuse_shared(const struct pod *p, const struct create_options *o)
{
    bool net = strv_has(&p->config->share, "net");
    if (net && (o->network.n || o->net.n || o->publish.n || o->publish_all || o->ip || o->ip6 || o->mac_address ||
                o->network_alias.n || o->net_rate))
        return err_new(ERR_INVALID,
                       "--pod: the containers of '%s' share its network: say networks and ports when the "
                       "pod is created",
                       p->row.name);
    if (strv_has(&p->config->share, "uts") && o->hostname)
        return err_new(ERR_INVALID,
                       "--pod: the containers of '%s' share its host name: give --hostname to `pod create`",
                       p->row.name);
    return NULL;
}

static void concat(const struct strv *a, const struct strv *b, struct strv *ret)
{
    strv_copy(ret, a->items, a->n);
    strv_copy(ret, b->items, b->n);
}

static fallible create_in(struct pod *p, const struct create_options *o, char *const *args, size_t args_n,
                          struct container **ret)
{
    struct create_options m = *o;
    own_mem char *ipc = NULL, *uts = NULL, *pid = NULL, *user = NULL, *hosts = NULL;
    own_strv struct strv devices = { 0 }, security = { 0 }, networks = { 0 }, from = { 0 }, requires = { 0 },
                         names = { 0 };
    m.pod = m.pod_id_file = NULL;
    m.member_of = p;
    TRY(refuse_shared(p, o));
    concat(&p->config->devices, &o->device, &devices);
    concat(&p->config->security, &o->security_opt, &security);
    m.device = devices;
    m.security_opt = security;
    m.no_hosts |= p->config->no_hosts && !o->hosts_file && !o->add_host.n;
    m.no_hostname |= p->config->no_hostname;
    if (!o->restart && p->config->restart && !o->rm && !o->init_ctr)
        m.restart = p->config->restart;
    if (p->row.infra) {
        own(container) struct container *infra = NULL;
        const struct container_config *theirs;
        TRY_AS(container_find(p->engine, p->row.infra, &infra), "--pod '%s'", p->row.name);
        TRY(container_config(infra, &theirs));
        const struct strv *share = &p->config->share;
        if (strv_has(share, "net")) {
            strv_add_take(&networks, joined(p, theirs->network));
            m.network = networks;
            if (str_eq(theirs->network, "host") && !m.no_hosts) { /* none is joined whose file it is */
                if (!o->hosts_file)
                    m.hosts_file = hosts = mem_strdup(theirs->hosts_file);
                concat(&o->add_host, &theirs->add_hosts, &names); /* the first that has a name counts */
                m.add_host = names;
            }
        }
        if (strv_has(share, "ipc") && !o->ipc)
            m.ipc = ipc = joined(p, theirs->ipc);
        if (strv_has(share, "uts") && !o->uts)
            m.uts = uts = joined(p, theirs->uts);
        if (strv_has(share, "pid") && !o->pid)
            m.pid = pid = joined(p, theirs->pid);
        if (!o->userns && !o->uidmap.n && !o->gidmap.n && (theirs->userns_first || theirs->uid_map.n))
            m.userns = user = joined(p, "container");
        strv_copy(&from, o->volumes_from.items, o->volumes_from.n);
        strv_add(&from, p->row.infra);
        m.volumes_from = from;
        strv_copy(&requires, o->requires.items, o->requires.n);
        strv_add(&requires, p->row.infra);
        m.requires = requires;
    }
    return container_create(p->engine, &m, args, args_n, ret);
}

static fallible read_id_file(const char *path, char **ret)
{
    TRY_AS(fs_read_at(AT_FDCWD, path, ID_FILE_MAX, ret, NULL), "--pod-id-file");
    (*ret)[strcspn(*ret, " \t\r\n")] = '\0';
    return NULL;
}

/* --pod new:NAME: the ports and networks that were said are the new pod's. */
static fallible create_both(struct engine *e, const struct create_options *o, char *const *args, size_t args_n,
                            struct container **ret)
{
    own(pod) struct pod *p = NULL;
    static const struct strv none;
    struct create_options of_pod = { .name = o->pod + strlen("new:"),
                                     .publish = o->publish,
                                     .network = o->network,
                                     .net = o->net,
                                     .network_alias = o->network_alias,
                                     .ip = o->ip,
                                     .ip6 = o->ip6,
                                     .mac_address = o->mac_address,
                                     .hostname = o->hostname };
    struct create_options member = *o;
    if (!*of_pod.name)
        of_pod.name = NULL;
    TRY_AS(pod_create(e, &(struct pod_options){ 0 }, &of_pod, &p), "--pod");
    member.publish = member.network = member.net = member.network_alias = none;
    member.ip = member.ip6 = member.mac_address = member.hostname = NULL;
    err *failed = create_in(p, &member, args, args_n, ret);
    if (failed) /* as if nothing had been said */
        err_ignore(pod_remove(p, &(struct remove_options){ .force = true }), "the first error says what went wrong");
    return failed;
}

fallible pod_create_member(struct engine *e, const struct create_options *o, char *const *args, size_t args_n,
                           struct container **ret)
{
    own(pod) struct pod *p = NULL;
    own_mem char *id = NULL;
    if (o->pod && o->pod_id_file)
        return err_new(ERR_INVALID, "--pod and --pod-id-file exclude each other");
    if (o->init_ctr && !o->pod && !o->pod_id_file)
        return err_new(ERR_INVALID, "--init-ctr: it is for a container of a pod: give --pod");
    if (o->init_ctr && o->restart)
        return err_new(ERR_INVALID, "--init-ctr and --restart exclude each other: it runs to its end once a start");
    if (o->pod && str_starts(o->pod, "new:"))
        return create_both(e, o, args, args_n, ret);
    if (o->pod_id_file)
        TRY(read_id_file(o->pod_id_file, &id));
    TRY_AS(pod_find(e, id ? id : o->pod, &p), "--pod");
    return create_in(p, o, args, args_n, ret);
}
