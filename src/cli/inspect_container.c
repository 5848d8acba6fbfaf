// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/inspect_docs.h"
#include "engine/health.h"
#include "engine/hosts.h"
#include "engine/spec.h"
#include "engine/userns.h"
#include "engine/volume.h"
#include "monitor/restart.h"
#include "process/landlock.h"

static void put(json_t *o, const char *key, json_t *take_value)
{
    (void)json_object_set_new(o, key, take_value);
}

static json_t *text(const char *s)
{
    return json_string(s ? s : "");
}

static json_t *list(const struct strv *v)
{
    json_t *a = json_array();
    for (size_t i = 0; i < v->n; i++)
        (void)json_array_append_new(a, json_string(v->items[i]));
    return a;
}

static json_t *list_or_null(const struct strv *v)
{
    return v->n ? list(v) : json_null();
}

static json_t *map(const struct strmap *m)
{
    json_t *o = json_object();
    for (size_t i = 0; i < m->n; i++)
        put(o, m->items[i].key, json_string(m->items[i].value));
    return o;
}

static json_t *time_text(int64_t ns)
{
    char buf[40];
    return json_string(ns ? format_time_ns(ns, buf) : "0001-01-01T00:00:00Z");
}

static json_t *number(struct opt_i64 v)
{
    return json_integer(v.set ? v.v : 0);
}

static json_t *state_doc(const struct container_state *s)
{
    json_t *o = json_object();
    put(o, "Status", text(container_state_word(s)));
    put(o, "Running", json_boolean(!s->waits && s->status != CONTAINER_CREATED && s->status != CONTAINER_EXITED));
    put(o, "Paused", json_boolean(s->status == CONTAINER_PAUSED));
    put(o, "Restarting", json_boolean(s->status == CONTAINER_RESTARTING));
    put(o, "OOMKilled", json_boolean(s->oom_killed));
    put(o, "TimedOut", json_boolean(s->timed_out));
    put(o, "Dead", json_false());
    put(o, "Pid", json_integer(s->init.pid));
    put(o, "ExitCode", json_integer(s->exit_code));
    put(o, "Error", text(s->error));
    put(o, "StartedAt", time_text(s->started_ns));
    put(o, "FinishedAt", time_text(s->finished_ns));
    return o;
}

static fallible put_health(json_t *state, struct container *c)
{
    own(health_state) struct health_state *s = NULL;
    TRY(health_read(c, &s));
    if (s)
        put(state, "Health", health_doc(s));
    return NULL;
}

static json_t *healthcheck_doc(const struct container_health *h)
{
    json_t *o = json_object();
    put(o, "Test", list(&h->test));
    put(o, "Interval", json_integer(h->interval_ns));
    put(o, "Timeout", json_integer(h->timeout_ns));
    put(o, "StartPeriod", json_integer(h->start_period_ns));
    put(o, "StartInterval", json_integer(h->start_interval_ns));
    put(o, "Retries", json_integer(h->retries));
    return o;
}

/* Podman's names for what docker does not have. */
static void put_more_health(json_t *o, const struct container_health *h)
{
    if (h->on_unhealthy)
        put(o, "HealthcheckOnFailureAction", text(h->on_unhealthy));
    put(o, "HealthLogDestination", text(h->log_events ? "events_logger" : h->log_dir ? h->log_dir : "local"));
    put(o, "HealthMaxLogCount", json_integer(h->log_count < 0 ? 0 : h->log_count ? h->log_count : HEALTH_LOG_MAX));
    put(o, "HealthMaxLogSize", json_integer(h->log_size < 0 ? 0 : h->log_size ? h->log_size : HEALTH_OUTPUT_MAX));
    if (!h->startup_test.n)
        return;
    json_t *s = json_object();
    put(s, "Test", list(&h->startup_test));
    put(s, "Interval", json_integer(h->startup_interval_ns));
    put(s, "Timeout", json_integer(h->startup_timeout_ns));
    put(s, "Retries", json_integer(h->startup_retries));
    put(s, "Successes", json_integer(h->startup_success));
    put(o, "StartupHealthCheck", s);
}

/* Names only, in podman's shape. */
static json_t *secrets_doc(const struct container_config *k)
{
    json_t *a = json_array();
    for (size_t i = 0; i < k->secrets_n; i++) {
        const struct container_secret *s = &k->secrets[i];
        (void)json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "Name", s->name, "Type", s->type,
                                                 "Target", s->target, "UID", (json_int_t)s->uid, "GID",
                                                 (json_int_t)s->gid, "Mode", (json_int_t)s->mode));
    }
    return a;
}

static json_t *config_doc(const struct container *c, const struct container_config *k, const char *hostname)
{
    json_t *o = json_object();
    put(o, "Hostname", text(hostname));
    put(o, "Domainname", text(k->domainname));
    put(o, "User", text(k->user));
    put(o, "Tty", json_boolean(k->tty));
    put(o, "OpenStdin", json_boolean(k->stdin_open));
    put(o, "StdinOnce", json_boolean(k->stdin_open));
    put(o, "Env", list(&k->env));
    put(o, "Cmd", list_or_null(&k->cmd));
    put(o, "Image", text(c->row.image));
    put(o, "WorkingDir", text(k->workdir));
    put(o, "Entrypoint", list_or_null(&k->entrypoint));
    put(o, "Labels", map(&k->labels));
    if (k->secrets_n)
        put(o, "Secrets", secrets_doc(k));
    put(o, "StopSignal", text(k->stop_signal ? k->stop_signal : "SIGTERM"));
    if (k->stop_timeout.set)
        put(o, "StopTimeout", number(k->stop_timeout));
    if (k->health)
        put(o, "Healthcheck", healthcheck_doc(k->health));
    if (k->health)
        put_more_health(o, k->health);
    if (k->timeout_s)
        put(o, "Timeout", json_integer(k->timeout_s));
    return o;
}

/* What is published is exposed, too. */
static json_t *exposed_doc(const struct container_config *k, json_t *bindings)
{
    json_t *o = json_object(), *list;
    const char *port;
    for (size_t i = 0; i < k->exposed.n; i++)
        put(o, k->exposed.items[i], json_object());
    json_object_foreach (bindings, port, list)
        put(o, port, json_object());
    return o;
}

static json_t *security_doc(const struct container_config *k)
{
    json_t *a = json_array();
    if (k->seccomp_unconfined)
        (void)json_array_append_new(a, json_string("seccomp=unconfined"));
    else if (k->seccomp)
        (void)json_array_append_new(a, json_sprintf("seccomp=%s", k->seccomp));
    if (k->no_new_privileges)
        (void)json_array_append_new(a, json_string("no-new-privileges"));
    if (k->unmask)
        (void)json_array_append_new(a, json_string("systempaths=unconfined"));
    if (k->apparmor)
        (void)json_array_append_new(a, json_sprintf("apparmor=%s", k->apparmor));
    for (size_t i = 0; i < k->mask.n; i++)
        (void)json_array_append_new(a, json_sprintf("mask=%s", k->mask.items[i]));
    for (size_t i = 0; i < k->unmask_paths.n; i++)
        (void)json_array_append_new(a, json_sprintf("unmask=%s", k->unmask_paths.items[i]));
    if (k->proc_options)
        (void)json_array_append_new(a, json_sprintf("proc-opts=%s", k->proc_options));
    if (strmap_get(&k->annotations, LANDLOCK_ANNOTATION))
        (void)json_array_append_new(a, json_sprintf("landlock=%s", strmap_get(&k->annotations, LANDLOCK_ANNOTATION)));
    return a;
}

static void put_hidden(const struct container_config *k, json_t *o)
{
    own_strv struct strv masked = { 0 }, readonly = { 0 };
    spec_hidden_paths(k, &masked, &readonly);
    put(o, "MaskedPaths", list(&masked));
    put(o, "ReadonlyPaths", list(&readonly));
}

static json_t *ulimits_doc(const struct container_config *k)
{
    json_t *a = json_array();
    for (size_t i = 0; i < k->ulimits_n; i++)
        (void)json_array_append_new(a,
                                    json_pack("{s:s, s:I, s:I}", "Name", k->ulimits[i].name, "Hard",
                                              (json_int_t)k->ulimits[i].hard, "Soft", (json_int_t)k->ulimits[i].soft));
    return a;
}

static json_t *devices_doc(const struct container_config *k)
{
    json_t *a = json_array();
    for (size_t i = 0; i < k->devices_n; i++)
        (void)json_array_append_new(a, json_pack("{s:s, s:s, s:s}", "PathOnHost", k->devices[i].host, "PathInContainer",
                                                 k->devices[i].path, "CgroupPermissions", k->devices[i].access));
    return a;
}

static json_t *binds_doc(const struct container_config *k)
{
    json_t *a = json_array();
    for (size_t i = 0; i < k->mounts_n; i++) {
        const struct container_mount *m = &k->mounts[i];
        if (strcmp(m->type, "tmpfs") == 0 || m->anonymous)
            continue;
        own_mem char *bind = mem_printf("%s:%s%s", m->source, m->target, m->read_only ? ":ro" : "");
        (void)json_array_append_new(a, json_string(bind));
    }
    return a;
}

/* "/dev/sda:1mb" as docker's {"Path": "/dev/sda", "Rate": 1048576}. */
static json_t *rates_doc(const struct strv *v, const char *unit)
{
    json_t *a = json_array();
    for (size_t i = 0; i < v->n; i++) {
        const char *colon = strrchr(v->items[i], ':');
        int64_t rate = 0;
        own_mem char *path = mem_strndup(v->items[i], (size_t)(colon - v->items[i]));
        err_ignore(parse_bytes(colon + 1, &rate), "it was parsed when it was said");
        (void)json_array_append_new(a, json_pack("{s:s, s:I}", "Path", path, unit, (json_int_t)rate));
    }
    return a;
}

static void put_limits(json_t *o, const struct container_config *k)
{
    static const struct container_resources none = { 0 };
    const struct container_resources *r = k->resources ? k->resources : &none;
    put(o, "Memory", number(r->memory));
    put(o, "MemorySwap", number(r->memory_swap));
    put(o, "MemoryReservation", number(r->memory_reservation));
    put(o, "MemorySwappiness", r->memory_swappiness.set ? number(r->memory_swappiness) : json_null());
    put(o, "NanoCpus",
        json_integer(r->cpu_quota.v > 0 && r->cpu_period.v ? r->cpu_quota.v * 1000000000 / r->cpu_period.v : 0));
    put(o, "CpuShares", number(r->cpu_shares));
    put(o, "BlkioWeight", number(r->blkio_weight));
    put(o, "BlkioWeightDevice", rates_doc(&r->blkio_weight_device, "Weight"));
    put(o, "BlkioDeviceReadBps", rates_doc(&r->device_read_bps, "Rate"));
    put(o, "BlkioDeviceWriteBps", rates_doc(&r->device_write_bps, "Rate"));
    put(o, "BlkioDeviceReadIOps", rates_doc(&r->device_read_iops, "Rate"));
    put(o, "BlkioDeviceWriteIOps", rates_doc(&r->device_write_iops, "Rate"));
    put(o, "CpuRealtimePeriod", number(r->cpu_rt_period));
    put(o, "CpuRealtimeRuntime", number(r->cpu_rt_runtime));
    put(o, "CpuPeriod", number(r->cpu_period));
    put(o, "CpuQuota", number(r->cpu_quota));
    put(o, "CpusetCpus", text(r->cpuset_cpus));
    put(o, "CpusetMems", text(r->cpuset_mems));
    put(o, "PidsLimit", json_integer(r->pids_limit.set ? r->pids_limit.v : PIDS_DEFAULT));
    put(o, "DeviceCgroupRules", list_or_null(&r->device_rules));
    put(o, "CgroupParent", text(k->cgroup_parent));
    put(o, "Ulimits", ulimits_doc(k));
    put(o, "OomScoreAdj", number(k->oom_score_adj));
}

/* docker's: "/other:/this/alias"; the other by its name of today. */
static json_t *links_doc(struct container *c, const struct container_config *k)
{
    json_t *l = json_array();
    for (size_t i = 0; i < k->links.n; i++) {
        own(container) struct container *other = NULL;
        own_mem char *id = mem_strdup(k->links.items[i]);
        char *colon = strchr(id, ':');
        if (!colon)
            continue;
        *colon = '\0';
        err_ignore(container_find(c->engine, id, &other), "it is gone, and so is the link");
        if (other)
            (void)json_array_append_new(l, json_sprintf("/%s:/%s/%s", other->row.name, c->row.name, colon + 1));
    }
    if (json_array_size(l))
        return l;
    json_decref(l);
    return json_null();
}

static json_t *restart_doc(const struct container_config *k)
{
    struct restart restart = { 0 };
    if (k->restart)
        err_ignore(restart_parse(k->restart, &restart), "it was checked when it was set");
    return json_pack("{s:s, s:I}", "Name", restart_word(restart.policy), "MaximumRetryCount", (json_int_t)restart.max);
}

static json_t *log_doc(const struct container_log *log)
{
    json_t *options = json_pack("{s:o, s:o, s:o}", "max-size", json_sprintf("%lld", (long long)log->max_bytes),
                                "max-file", json_sprintf("%lld", (long long)log->max_files), "max-age",
                                json_sprintf("%llds", (long long)log->max_age_s));
    const struct {
        const char *key;
        const struct strv *list;
    } lists[] = { { "labels", &log->labels }, { "env", &log->env } };
    if (log->tag)
        put(options, "tag", text(log->tag));
    if (log->labels_regex)
        put(options, "labels-regex", text(log->labels_regex));
    if (log->env_regex)
        put(options, "env-regex", text(log->env_regex));
    if (log->compress)
        put(options, "compress", text("true"));
    if (log->buffer) {
        put(options, "mode", text("non-blocking"));
        put(options, "max-buffer-size", json_sprintf("%lld", (long long)log->buffer));
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        own_str struct str all = { 0 };
        for (size_t n = 0; n < lists[i].list->n; n++)
            str_printf(&all, "%s%s", n ? "," : "", lists[i].list->items[n]);
        if (all.len)
            put(options, lists[i].key, text(all.text));
    }
    return json_pack("{s:s, s:o}", "Type", log->driver, "Config", options);
}

/* podman's: "INSIDE:OUTSIDE:COUNT". */
static json_t *maps_doc(const struct container_config *k)
{
    own_strv struct strv uid_texts = { 0 }, gid_texts = { 0 };
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    if (!k->uid_map.n && !k->userns_first)
        return json_null();
    err_ignore(userns_maps_of(k, &uids, &gids), "what can be read of it is shown");
    userns_map_write(&uids, &uid_texts);
    userns_map_write(&gids, &gid_texts);
    return json_pack("{s:o, s:o}", "UidMap", list(&uid_texts), "GidMap", list(&gid_texts));
}

static json_t *host_doc(const struct container_config *k)
{
    json_t *o = json_object();
    put(o, "Binds", binds_doc(k));
    put(o, "NetworkMode", text(k->network));
    put(o, "Egress", list_or_null(&k->egress));
    put(o, "PublishAllPorts", json_boolean(k->publish_all));
    put(o, "PidMode", text(strcmp(k->pid, "private") == 0 ? "" : k->pid));
    put(o, "IpcMode", text(k->ipc));
    put(o, "UTSMode", text(strcmp(k->uts, "private") == 0 ? "" : k->uts));
    put(o, "UsernsMode", text(strcmp(k->userns, "default") == 0 ? "" : k->userns));
    put(o, "IDMappings", maps_doc(k));
    put(o, "CgroupnsMode", text(k->cgroupns));
    put(o, "AutoRemove", json_boolean(k->auto_remove));
    put(o, "Isolation", text(k->isolation));
    put(o, "Privileged", json_boolean(k->privileged));
    put(o, "ReadonlyRootfs", json_boolean(k->read_only));
    put(o, "Init", json_boolean(k->init));
    put(o, "CapAdd", list_or_null(&k->cap_add));
    put(o, "CapDrop", list_or_null(&k->cap_drop));
    put(o, "SecurityOpt", security_doc(k));
    put_hidden(k, o);
    put(o, "GroupAdd", list_or_null(&k->group_add));
    put(o, "ExtraHosts", list_or_null(&k->add_hosts));
    if (k->hosts_file)
        put(o, "HostsFile", text(k->hosts_file));
    put(o, "Dns", k->no_resolv ? json_pack("[s]", "none") : list(&k->dns));
    put(o, "DnsSearch", list(&k->dns_search));
    put(o, "DnsOptions", list(&k->dns_options));
    put(o, "Sysctls", map(&k->sysctl));
    put(o, "ShmSize", json_integer(k->shm_bytes));
    put(o, "Devices", devices_doc(k));
    put(o, "RestartPolicy", restart_doc(k));
    put(o, "LogConfig", log_doc(k->log));
    put_limits(o, k);
    return o;
}

static json_t *mounts_doc(const struct engine *e, const struct container_config *k)
{
    json_t *a = json_array();
    for (size_t i = 0; i < k->mounts_n; i++) {
        const struct container_mount *m = &k->mounts[i];
        bool volume = strcmp(m->type, "volume") == 0;
        own_mem char *path = volume ? volume_path(e, m->source) : NULL;
        json_t *o = json_object();
        put(o, "Type", text(m->type));
        if (volume) {
            put(o, "Name", text(m->source));
            put(o, "Driver", text("local"));
        }
        put(o, "Source", text(volume ? path : m->source));
        put(o, "Destination", text(m->target));
        put(o, "Mode", text(m->read_only ? "ro" : ""));
        put(o, "RW", json_boolean(!m->read_only));
        put(o, "Propagation", text(m->propagation ? m->propagation : strcmp(m->type, "bind") == 0 ? "rprivate" : ""));
        (void)json_array_append_new(a, o);
    }
    return a;
}

static void put_paths(json_t *o, const struct container *c, const struct container_config *k)
{
    static const struct {
        const char *key, *file;
    } files[] = { { "ResolvConfPath", "resolv.conf" }, { "HostnamePath", "hostname" }, { "HostsPath", "hosts" } };
    const bool images[] = { k->no_resolv, k->no_hostname, k->no_hosts };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        put(o, files[i].key, images[i] ? text("") : json_sprintf("%s/%s", c->state_dir, files[i].file));
    if (strcmp(k->log->driver, "none") != 0 && strcmp(k->log->driver, "passthrough") != 0)
        put(o, "LogPath", json_sprintf("%s/log.json", c->dir));
    put(o, "OCIConfigPath",
        json_sprintf("%s/config.json", c->config && c->config->auto_remove ? c->state_dir : c->dir));
}

static fallible graph_doc(struct container *c, json_t **ret)
{
    struct rootfs_source root = { 0 };
    TRY(container_root(c, &root));
    if (root.kind == ROOTFS_DIR) {
        *ret = json_pack("{s:s, s:{s:s}}", "Name", "directory", "Data", "Dir", root.dir);
    } else {
        own_str struct str lowers = { 0 };
        for (size_t i = 0; i < root.lowers.n; i++)
            str_printf(&lowers, "%s%s", i ? ":" : "", root.lowers.items[i]);
        *ret = json_pack("{s:s, s:{s:s, s:s, s:s}}", "Name", "overlay", "Data", "LowerDir",
                         lowers.text ? lowers.text : "", "UpperDir", root.upper, "WorkDir", root.work);
    }
    rootfs_source_free(&root);
    return NULL;
}

fallible inspect_container(struct container *c, json_t **ret)
{
    const struct container_config *k;
    struct container_state s = { 0 };
    json_t *graph = NULL, *network = NULL, *bindings = NULL;
    TRY(container_config(c, &k));
    TRY(container_state(c, &s));
    const struct strv *first = k->entrypoint.n ? &k->entrypoint : &k->cmd;
    own_mem char *hostname = spec_hostname(c->row.id, k);
    json_t *o = json_object(), *args = json_array();
    for (size_t i = 1; i < first->n; i++)
        (void)json_array_append_new(args, json_string(first->items[i]));
    for (size_t i = 0; k->entrypoint.n && i < k->cmd.n; i++)
        (void)json_array_append_new(args, json_string(k->cmd.items[i]));
    put(o, "Id", text(c->row.id));
    put(o, "Created", time_text(c->row.created_ns));
    put(o, "Path", text(first->n ? first->items[0] : ""));
    put(o, "Args", args);
    json_t *state = state_doc(&s);
    put(o, "State", state);
    put(o, "Image", text(c->row.image_id));
    put_paths(o, c, k);
    put(o, "Name", json_sprintf("/%s", c->row.name));
    put(o, "Pod", text(c->row.pod)); /* this and the next as podman */
    put(o, "IsInfra", json_boolean(k->infra));
    put(o, "RestartCount", json_integer(container_restarts(c)));
    put(o, "Driver", text(k->rootfs ? "directory" : "overlay"));
    put(o, "Platform", text("linux"));
    put(o, "AppArmorProfile", text(k->apparmor));
    put(o, "HostConfig", host_doc(k));
    put(json_object_get(o, "HostConfig"), "Links", links_doc(c, k));
    err *e = put_health(state, c);
    if (!e)
        e = graph_doc(c, &graph);
    if (!e)
        put(o, "GraphDriver", graph);
    if (!e)
        e = inspect_container_network(c, &network, &bindings);
    put(o, "Mounts", mounts_doc(c->engine, k));
    put(o, "Config", config_doc(c, k, hostname));
    if (network) {
        put(json_object_get(o, "Config"), "ExposedPorts", exposed_doc(k, bindings));
        put(json_object_get(o, "HostConfig"), "PortBindings", bindings);
        put(o, "NetworkSettings", network);
    }
    container_state_clear(&s);
    if (e) {
        json_decref(o);
        return e;
    }
    *ret = o;
    return NULL;
}
