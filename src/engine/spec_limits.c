// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/options.h"
#include "engine/spec_parts.h"
#include "os/fs.h"
#include "os/ids.h"

static struct oci_resources *resources(struct oci_spec *spec)
{
    if (!spec->linux_->resources)
        spec->linux_->resources = mem_zalloc(sizeof *spec->linux_->resources);
    return spec->linux_->resources;
}

static void add_rule(struct oci_spec *spec, bool allow, const char *type, struct opt_i64 major, struct opt_i64 minor,
                     const char *access)
{
    struct oci_resources *r = resources(spec);
    r->devices = mem_array(r->devices, r->devices_n + 1, sizeof *r->devices);
    r->devices[r->devices_n++] =
        (struct oci_device_cgroup){ allow, mem_strdup(type), mem_strdup(access), major, minor };
}

static fallible check_device(const char *host, struct stat *ret)
{
    if (stat(host, ret) < 0)
        return err_sys(errno, "device '%s'", host);
    if (!S_ISCHR(ret->st_mode) && !S_ISBLK(ret->st_mode))
        return err_new(ERR_INVALID, "device '%s': it is no device", host);
    return NULL;
}

/* The host's node is only known in the container as `path`; links are followed once, here. */
static fallible add_device(struct oci_spec *spec, const char *host, const char *path, const char *access)
{
    struct stat st;
    TRY(check_device(host, &st));
    struct oci_linux *l = spec->linux_;
    const char *type = S_ISCHR(st.st_mode) ? "c" : "b";
    l->devices = mem_array(l->devices, l->devices_n + 1, sizeof *l->devices);
    l->devices[l->devices_n++] = (struct oci_device){
        .type = mem_strdup(type),
        .path = mem_strdup(path),
        .major = major(st.st_rdev),
        .minor = minor(st.st_rdev),
        .file_mode = { true, st.st_mode & 07777 },
        .uid = { true, st.st_uid },
        .gid = { true, st.st_gid },
    };
    if (access)
        add_rule(spec, true, type, (struct opt_i64){ true, major(st.st_rdev) },
                 (struct opt_i64){ true, minor(st.st_rdev) }, access);
    return NULL;
}

/* In a user namespace the host's node is bound (add_device_binds()): it needs the rule alone. Without any the runtime
 * allows what every container has: a node that an image brings must not open the host's disk. */
static fallible allow_device(struct oci_spec *spec, const char *host)
{
    struct stat st;
    TRY(check_device(host, &st));
    if (ids_is_root())
        add_rule(spec, true, S_ISCHR(st.st_mode) ? "c" : "b", (struct opt_i64){ true, major(st.st_rdev) },
                 (struct opt_i64){ true, minor(st.st_rdev) }, "rwm");
    return NULL;
}

/* Made by the runtime for every container. Source: runtime-spec, config-linux.md, "Default Devices". */
static bool is_default_device(const char *name)
{
    static const char *const names[] = { "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Every node below the host's /dev, for --privileged. Directories that hold no devices of the host are passed over. */
static fallible add_host_devices(struct oci_spec *spec, const char *dir, const char *at)
{
    own_mem char *host_dir = mem_printf("/dev%s", dir);
    own_dir DIR *d = opendir(host_dir);
    if (!d)
        return NULL; /* a directory that went away, or one that we may not read */
    for (const struct dirent *e; (e = readdir(d));) {
        own_mem char *name = mem_printf("%s/%s", dir, e->d_name);
        own_mem char *path = mem_printf("%s%s", at, name);
        if (e->d_name[0] == '.' || (!*dir && is_default_device(e->d_name)))
            continue;
        if (e->d_type == DT_DIR && strcmp(name, "/pts") != 0 && strcmp(name, "/shm") != 0 &&
            strcmp(name, "/mqueue") != 0)
            TRY(add_host_devices(spec, name, at));
        else if (e->d_type == DT_CHR || e->d_type == DT_BLK)
            err_ignore(add_device(spec, path, path, NULL), "the device went away");
    }
    return NULL;
}

/* "c 1:3 rwm", checked when the container was created */
static fallible add_rule_text(struct oci_spec *spec, const char *text)
{
    own_strv struct strv words = { 0 }, numbers = { 0 };
    struct opt_i64 n[2] = { 0 };
    strv_split(&words, text, ' ');
    strv_split(&numbers, words.n > 1 ? words.items[1] : "", ':');
    for (size_t i = 0; i < 2 && i < numbers.n; i++)
        if (strcmp(numbers.items[i], "*") != 0) {
            TRY(parse_i64(numbers.items[i], 0, UINT32_MAX, &n[i].v));
            n[i].set = true;
        }
    add_rule(spec, true, words.items[0], n[0], n[1], words.items[2]);
    return NULL;
}

/* What every container may use and make. Source: runc, libcontainer/specconv, AllowedDevices. */
static void add_default_rules(struct oci_spec *spec)
{
    static const struct {
        const char *type;
        int major, minor; /* -1: any */
        const char *access;
    } rules[] = {
        { "c", -1, -1, "m" }, { "b", -1, -1, "m" }, { "c", 1, 3, "rwm" }, { "c", 1, 5, "rwm" }, { "c", 1, 7, "rwm" },
        { "c", 1, 8, "rwm" }, { "c", 1, 9, "rwm" }, { "c", 5, 0, "rwm" }, { "c", 5, 2, "rwm" }, { "c", 136, -1, "rwm" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        add_rule(spec, true, rules[i].type, (struct opt_i64){ rules[i].major >= 0, rules[i].major },
                 (struct opt_i64){ rules[i].minor >= 0, rules[i].minor }, rules[i].access);
}

fallible spec_add_devices(const struct spec_input *in, struct oci_spec *spec)
{
    const struct container_config *c = in->config;
    const struct opt_i64 any = { 0 };
    bool userns = in->uids || in->join_user;
    if (!userns)
        add_rule(spec, c->privileged, "a", any, any, "rwm");
    if (!userns && !c->privileged)
        add_default_rules(spec);
    if (c->privileged && !userns)
        TRY(add_host_devices(spec, "", "/dev"));
    for (size_t i = 0; i < c->devices_n; i++)
        TRY_AS(userns ? allow_device(spec, c->devices[i].host)
                      : add_device(spec, c->devices[i].host, c->devices[i].path, c->devices[i].access),
               "--device");
    for (size_t i = 0; c->resources && i < c->resources->device_rules.n; i++)
        TRY(add_rule_text(spec, c->resources->device_rules.items[i]));
    return NULL;
}

static void add_memory(const struct container_resources *from, struct oci_resources *to)
{
    if (!from->memory.set && !from->memory_swap.set && !from->memory_reservation.set && !from->memory_swappiness.set &&
        !from->oom_kill_disable)
        return;
    to->memory = mem_zalloc(sizeof *to->memory);
    to->memory->limit = from->memory;
    to->memory->swap = from->memory_swap;
    to->memory->reservation = from->memory_reservation;
    if (from->oom_kill_disable)
        to->memory->disable_oom_killer = (struct opt_bool){ true, true };
    if (from->memory_swappiness.set)
        to->memory->swappiness = (struct opt_u64){ true, (uint64_t)from->memory_swappiness.v };
}

static void add_cpu(const struct container_resources *from, struct oci_resources *to)
{
    if (!from->cpu_period.set && !from->cpu_quota.set && !from->cpu_shares.set && !from->cpuset_cpus &&
        !from->cpuset_mems && !from->cpu_rt_period.set && !from->cpu_rt_runtime.set)
        return;
    to->cpu = mem_zalloc(sizeof *to->cpu);
    if (from->cpu_period.set)
        to->cpu->period = (struct opt_u64){ true, (uint64_t)from->cpu_period.v };
    if (from->cpu_shares.set)
        to->cpu->shares = (struct opt_u64){ true, (uint64_t)from->cpu_shares.v };
    to->cpu->quota = from->cpu_quota;
    if (from->cpu_rt_period.set)
        to->cpu->realtime_period = (struct opt_u64){ true, (uint64_t)from->cpu_rt_period.v };
    to->cpu->realtime_runtime = from->cpu_rt_runtime;
    to->cpu->cpus = mem_strdup(from->cpuset_cpus);
    to->cpu->mems = mem_strdup(from->cpuset_mems);
}

static fallible throttle(const struct strv *from, bool bytes, struct oci_throttle_device **to, size_t *to_n)
{
    for (size_t i = 0; i < from->n; i++) {
        struct stat st;
        const char *colon = strrchr(from->items[i], ':');
        own_mem char *path = mem_strndup(from->items[i], (size_t)(colon - from->items[i]));
        int64_t rate;
        TRY(check_device(path, &st));
        if (!S_ISBLK(st.st_mode))
            return err_new(ERR_INVALID, "device '%s': it is no block device", path);
        TRY(bytes ? parse_bytes(colon + 1, &rate) : parse_i64(colon + 1, 1, INT64_MAX, &rate));
        *to = mem_array(*to, *to_n + 1, sizeof **to);
        (*to)[(*to_n)++] = (struct oci_throttle_device){ major(st.st_rdev), minor(st.st_rdev), (uint64_t)rate };
    }
    return NULL;
}

static fallible weights(const struct strv *from, struct oci_block_io *to)
{
    struct oci_throttle_device *rates = NULL;
    size_t n = 0;
    err *e = throttle(from, false, &rates, &n);
    to->weight_device = n ? mem_zalloc(n * sizeof *to->weight_device) : NULL;
    to->weight_device_n = n;
    for (size_t i = 0; i < n; i++)
        to->weight_device[i] =
            (struct oci_weight_device){ rates[i].major, rates[i].minor, { true, rates[i].rate }, { 0 } };
    free(rates);
    return e;
}

static fallible add_block_io(const struct container_resources *from, struct oci_resources *to)
{
    if (!from->blkio_weight.set && !from->blkio_weight_device.n && !from->device_read_bps.n &&
        !from->device_write_bps.n && !from->device_read_iops.n && !from->device_write_iops.n)
        return NULL;
    struct oci_block_io *b = to->block_io = mem_zalloc(sizeof *b);
    if (from->blkio_weight.set)
        b->weight = (struct opt_u64){ true, (uint64_t)from->blkio_weight.v };
    TRY_AS(weights(&from->blkio_weight_device, b), "--blkio-weight-device");
    TRY_AS(throttle(&from->device_read_bps, true, &b->read_bps, &b->read_bps_n), "--device-read-bps");
    TRY_AS(throttle(&from->device_write_bps, true, &b->write_bps, &b->write_bps_n), "--device-write-bps");
    TRY_AS(throttle(&from->device_read_iops, false, &b->read_iops, &b->read_iops_n), "--device-read-iops");
    return err_wrap(throttle(&from->device_write_iops, false, &b->write_iops, &b->write_iops_n), "--device-write-iops");
}

fallible spec_add_resources(const struct spec_input *in, struct oci_spec *spec)
{
    const struct container_resources *from = in->config->resources;
    struct opt_i64 pids = { in->limits, PIDS_DEFAULT };
    if (from) {
        add_memory(from, resources(spec));
        add_cpu(from, resources(spec));
        TRY(add_block_io(from, resources(spec)));
        for (size_t i = 0; i < from->unified.n; i++)
            strmap_set(&resources(spec)->unified, from->unified.items[i].key, from->unified.items[i].value);
        if (from->pids_limit.set)
            pids = from->pids_limit;
    }
    if (pids.set && (pids.v > 0 || in->limits)) {
        resources(spec)->pids = mem_zalloc(sizeof *resources(spec)->pids);
        resources(spec)->pids->limit = pids;
    }
    return NULL;
}
