// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/config.h"

#define T struct container_mount
static const struct bind_field mount_fields[] = {
    BIND_STR(T, type, "type"),
    BIND_STR(T, source, "source"),
    BIND_STR(T, target, "target"),
    BIND_STR(T, propagation, "propagation"),
    BIND_STRS(T, options, "options"),
    BIND_BOOL(T, read_only, "readOnly"),
    BIND_BOOL(T, non_recursive, "nonRecursive"),
    BIND_BOOL(T, nocopy, "noCopy"),
    BIND_BOOL(T, anonymous, "anonymous"),
    BIND_BOOL(T, from_image, "fromImage"),
    BIND_BOOL(T, make_source, "makeSource"),
    BIND_BOOL(T, below_writable, "belowWritable"),
    BIND_BOOL(T, chown, "chown"),
    BIND_BOOL(T, idmap, "idmap"),
    BIND_BOOL(T, overlay, "overlay"),
    BIND_STRS(T, layers, "layers"),
    BIND_STR(T, upper, "upper"),
    BIND_STRS(T, lowers, "lowers"),
    BIND_STR(T, work, "work"),
    BIND_STR(T, subpath, "subpath"),
    BIND_STRS(T, driver_options, "driverOptions"),
    BIND_MAP(T, labels, "labels"),
    BIND_STR(T, device, "device"),
    BIND_BOOL(T, mounted, "mounted"),
    BIND_END,
};
#undef T
const struct bind_type container_mount_type = { "mount", sizeof(struct container_mount), mount_fields, false };

#define T struct container_secret
static const struct bind_field secret_fields[] = {
    BIND_STR(T, name, "name"),
    BIND_STR(T, type, "type"),
    BIND_STR(T, target, "target"),
    BIND_I64(T, uid, "uid"),
    BIND_I64(T, gid, "gid"),
    BIND_I64(T, mode, "mode"),
    BIND_END,
};
#undef T
static const struct bind_type secret_type = { "secret", sizeof(struct container_secret), secret_fields, false };

#define T struct container_device
static const struct bind_field device_fields[] = {
    BIND_STR(T, host, "host"),
    BIND_STR(T, path, "path"),
    BIND_STR(T, access, "access"),
    BIND_END,
};
#undef T
static const struct bind_type device_type = { "device", sizeof(struct container_device), device_fields, false };

#define T struct container_ulimit
static const struct bind_field ulimit_fields[] = {
    BIND_STR(T, name, "name"),
    BIND_I64(T, soft, "soft"),
    BIND_I64(T, hard, "hard"),
    BIND_END,
};
#undef T
static const struct bind_type ulimit_type = { "ulimit", sizeof(struct container_ulimit), ulimit_fields, false };

#define T struct container_resources
static const struct bind_field resources_fields[] = {
    BIND_OPT_I64(T, memory, "memory"),
    BIND_OPT_I64(T, memory_swap, "memorySwap"),
    BIND_OPT_I64(T, memory_reservation, "memoryReservation"),
    BIND_OPT_I64(T, memory_swappiness, "memorySwappiness"),
    BIND_OPT_I64(T, cpu_period, "cpuPeriod"),
    BIND_OPT_I64(T, cpu_quota, "cpuQuota"),
    BIND_OPT_I64(T, cpu_shares, "cpuShares"),
    BIND_OPT_I64(T, pids_limit, "pidsLimit"),
    BIND_STR(T, cpuset_cpus, "cpusetCpus"),
    BIND_STR(T, cpuset_mems, "cpusetMems"),
    BIND_STRS(T, device_rules, "deviceRules"),
    BIND_OPT_I64(T, blkio_weight, "blkioWeight"),
    BIND_OPT_I64(T, cpu_rt_period, "cpuRtPeriod"),
    BIND_OPT_I64(T, cpu_rt_runtime, "cpuRtRuntime"),
    BIND_STRS(T, blkio_weight_device, "blkioWeightDevice"),
    BIND_STRS(T, device_read_bps, "deviceReadBps"),
    BIND_STRS(T, device_write_bps, "deviceWriteBps"),
    BIND_STRS(T, device_read_iops, "deviceReadIops"),
    BIND_STRS(T, device_write_iops, "deviceWriteIops"),
    BIND_MAP(T, unified, "unified"),
    BIND_BOOL(T, oom_kill_disable, "oomKillDisable"),
    BIND_END,
};
#undef T
const struct bind_type container_resources_type = { "resources", sizeof(struct container_resources), resources_fields,
                                                    false };

#define T struct container_log
static const struct bind_field log_fields[] = {
    BIND_STR(T, driver, "driver"),
    BIND_I64(T, max_bytes, "maxBytes"),
    BIND_I64(T, max_files, "maxFiles"),
    BIND_I64(T, max_age_s, "maxAge"),
    BIND_STR(T, tag, "tag"),
    BIND_STRS(T, labels, "labels"),
    BIND_STRS(T, env, "env"),
    BIND_STR(T, labels_regex, "labelsRegex"),
    BIND_STR(T, env_regex, "envRegex"),
    BIND_BOOL(T, compress, "compress"),
    BIND_I64(T, buffer, "buffer"),
    BIND_END,
};
#undef T
static const struct bind_type log_type = { "log", sizeof(struct container_log), log_fields, false };

#define T struct container_health
static const struct bind_field health_fields[] = {
    BIND_STRS(T, test, "test"),
    BIND_STRS(T, shell, "shell"),
    BIND_I64(T, interval_ns, "interval"),
    BIND_I64(T, timeout_ns, "timeout"),
    BIND_I64(T, start_period_ns, "startPeriod"),
    BIND_I64(T, start_interval_ns, "startInterval"),
    BIND_I64(T, retries, "retries"),
    BIND_STR(T, on_unhealthy, "onUnhealthy"),
    BIND_STRS(T, startup_test, "startupTest"),
    BIND_I64(T, startup_interval_ns, "startupInterval"),
    BIND_I64(T, startup_timeout_ns, "startupTimeout"),
    BIND_I64(T, startup_retries, "startupRetries"),
    BIND_I64(T, startup_success, "startupSuccess"),
    BIND_I64(T, log_count, "logCount"),
    BIND_I64(T, log_size, "logSize"),
    BIND_STR(T, log_dir, "logDir"),
    BIND_BOOL(T, log_events, "logEvents"),
    BIND_END,
};
#undef T
static const struct bind_type health_type = { "health", sizeof(struct container_health), health_fields, false };

#define T struct container_config
static const struct bind_field config_fields[] = {
    BIND_STRS(T, entrypoint, "entrypoint"),
    BIND_STRS(T, cmd, "cmd"),
    BIND_STRS(T, env, "env"),
    BIND_STR(T, user, "user"),
    BIND_STR(T, workdir, "workdir"),
    BIND_BOOL(T, tty, "tty"),
    BIND_BOOL(T, stdin_open, "stdinOpen"),
    BIND_BOOL(T, init, "init"),
    BIND_STR(T, stop_signal, "stopSignal"),
    BIND_OPT_I64(T, stop_timeout, "stopTimeout"),
    BIND_STR(T, restart, "restart"),
    BIND_I64(T, timeout_s, "timeout"),
    BIND_OBJ(T, health, "health", health_type),
    BIND_MAP(T, labels, "labels"),
    BIND_MAP(T, annotations, "annotations"),
    BIND_STRS(T, layers, "layers"),
    BIND_STR(T, storage, "storage"),
    BIND_STR(T, rootfs, "rootfs"),
    BIND_BOOL(T, rootfs_overlay, "rootfsOverlay"),
    BIND_BOOL(T, read_only, "readOnly"),
    BIND_BOOL(T, auto_remove, "autoRemove"),
    BIND_OBJS(T, mounts, mounts_n, "mounts", container_mount_type),
    BIND_OBJS(T, devices, devices_n, "devices", device_type),
    BIND_OBJS(T, secrets, secrets_n, "secrets", secret_type),
    BIND_OBJS(T, ulimits, ulimits_n, "ulimits", ulimit_type),
    BIND_I64(T, shm_bytes, "shmBytes"),
    BIND_STR(T, platform, "platform"),
    BIND_STR(T, network, "network"),
    BIND_STRS(T, exposed, "exposed"),
    BIND_STRS(T, links, "links"),
    BIND_STRS(T, egress, "egress"),
    BIND_STR(T, net_rate, "netRate"),
    BIND_BOOL(T, publish_all, "publishAll"),
    BIND_STR(T, pid, "pid"),
    BIND_STR(T, ipc, "ipc"),
    BIND_STR(T, uts, "uts"),
    BIND_STR(T, userns, "userns"),
    BIND_STR(T, cgroupns, "cgroupns"),
    BIND_I64(T, userns_first, "usernsFirst"),
    BIND_I64(T, userns_first_gid, "usernsFirstGid"),
    BIND_I64(T, userns_size, "usernsSize"),
    BIND_STR(T, hostname, "hostname"),
    BIND_STR(T, domainname, "domainname"),
    BIND_STRS(T, add_hosts, "addHosts"),
    BIND_STR(T, hosts_file, "hostsFile"),
    BIND_BOOL(T, no_hosts, "noHosts"),
    BIND_BOOL(T, no_hostname, "noHostname"),
    BIND_BOOL(T, no_resolv, "noResolv"),
    BIND_STRS(T, dns, "dns"),
    BIND_STRS(T, dns_search, "dnsSearch"),
    BIND_STRS(T, dns_options, "dnsOptions"),
    BIND_STRS(T, group_add, "groupAdd"),
    BIND_MAP(T, sysctl, "sysctl"),
    BIND_BOOL(T, privileged, "privileged"),
    BIND_BOOL(T, no_new_privileges, "noNewPrivileges"),
    BIND_BOOL(T, seccomp_unconfined, "seccompUnconfined"),
    BIND_BOOL(T, unmask, "unmask"),
    BIND_STR(T, seccomp, "seccomp"),
    BIND_STR(T, apparmor, "apparmor"),
    BIND_STRS(T, mask, "mask"),
    BIND_STRS(T, unmask_paths, "unmaskPaths"),
    BIND_STR(T, proc_options, "procOptions"),
    BIND_STRS(T, cap_add, "capAdd"),
    BIND_STRS(T, cap_drop, "capDrop"),
    BIND_OBJ(T, resources, "resources", container_resources_type),
    BIND_STR(T, cgroup_parent, "cgroupParent"),
    BIND_STR(T, cgroup_manager, "cgroupManager"),
    BIND_OPT_I64(T, oom_score_adj, "oomScoreAdj"),
    BIND_OBJ(T, log, "log", log_type),
    BIND_STR(T, isolation, "isolation"),
    BIND_OPT_I64(T, umask, "umask"),
    BIND_STR(T, personality, "personality"),
    BIND_STR(T, rdt_class, "rdtClass"),
    BIND_STR(T, pidfile, "pidfile"),
    BIND_STR(T, monitor_pidfile, "monitorPidfile"),
    BIND_STR(T, passwd_entry, "passwdEntry"),
    BIND_STR(T, group_entry, "groupEntry"),
    BIND_STRS(T, chrootdirs, "chrootDirs"),
    BIND_STRS(T, requires, "requires"),
    BIND_STRS(T, hostusers, "hostUsers"),
    BIND_STRS(T, uid_map, "uidMap"),
    BIND_STRS(T, gid_map, "gidMap"),
    BIND_I64(T, storage_bytes, "storageBytes"),
    BIND_I64(T, storage_project, "storageProject"),
    BIND_BOOL(T, no_cgroup, "noCgroup"),
    BIND_STR(T, systemd, "systemd"),
    BIND_I64(T, systemd_shm_bytes, "systemdShmBytes"),
    BIND_STRS(T, init_chain, "initChain"),
    BIND_STR(T, init_ctr, "initCtr"),
    BIND_BOOL(T, infra, "infra"),
    BIND_BOOL(T, pod_ends, "podEnds"),
    BIND_STR(T, pod_cgroup, "podCgroup"),
    BIND_STR(T, signature_policy, "signaturePolicy"),
    BIND_END,
};
#undef T
const struct bind_type container_config_type = { "container", sizeof(struct container_config), config_fields, false };

void container_health_free(struct container_health *h)
{
    bind_free(&health_type, h);
}

void container_config_free(struct container_config *c)
{
    bind_free(&container_config_type, c);
}

struct container_mount *container_config_add_mount(struct container_config *c)
{
    c->mounts = mem_array(c->mounts, c->mounts_n + 1, sizeof *c->mounts);
    c->mounts[c->mounts_n] = (struct container_mount){ 0 };
    return &c->mounts[c->mounts_n++];
}
