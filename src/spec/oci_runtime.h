/*
 * oci_runtime.h: the OCI runtime specification's config.json and state.json as structs.
 *
 * Source: runtime-spec 1.3, config.md and config-linux.md; names are the document's own in our spelling. Lists are
 * "items + _n"; an absent object is NULL; what 0 and absent tell apart is opt_*. Keys that we do not know are kept in
 * `rest` and written back.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_SPEC_OCI_RUNTIME_H
#define HUSK_SPEC_OCI_RUNTIME_H

#include "codec/bind.h"

#define OCI_RUNTIME_VERSION "1.3.0"

struct oci_root {
    char *path;
    bool readonly;
};
struct oci_id_mapping {
    uint32_t container_id, host_id, size;
};
struct oci_mount {
    char *destination, *type, *source;
    struct strv options;
    struct oci_id_mapping *uid_mappings, *gid_mappings;
    size_t uid_mappings_n, gid_mappings_n;
    char *beneath; /* husk's own: a bind's source is this directory or in it, whatever links there are */
};
struct oci_user {
    uint32_t uid, gid;
    struct opt_u64 umask;
    json_t *additional_gids; /* array of integers, or NULL */
};
struct oci_console_size {
    uint32_t height, width;
};
struct oci_capabilities {
    struct strv bounding, effective, inheritable, permitted, ambient;
};
struct oci_rlimit {
    char *type;
    uint64_t hard, soft; /* RLIM_INFINITY is 2^64-1 here and in the document */
};
struct oci_scheduler {
    char *policy;
    struct opt_i64 nice;
    int64_t priority;
    struct strv flags;
    uint64_t runtime, deadline, period;
};
struct oci_io_priority {
    char *klass;
    int64_t priority;
};
struct oci_cpu_affinity {
    char *initial, *final;
};
struct oci_process {
    bool terminal;
    struct oci_console_size *console_size;
    struct oci_user *user;
    struct strv args, env;
    char *cwd;
    struct oci_capabilities *capabilities;
    struct oci_rlimit *rlimits;
    size_t rlimits_n;
    bool no_new_privileges;
    char *apparmor_profile, *selinux_label;
    struct opt_i64 oom_score_adj;
    struct oci_scheduler *scheduler;
    struct oci_io_priority *io_priority;
    struct oci_cpu_affinity *exec_cpu_affinity;
    json_t *rest;
};
struct oci_hook {
    char *path;
    struct strv args, env;  /* env.items NULL: the environment of whoever runs it */
    struct opt_i64 timeout; /* seconds */
};
struct oci_hooks {
    struct oci_hook *prestart, *create_runtime, *create_container, *start_container, *poststart, *poststop;
    size_t prestart_n, create_runtime_n, create_container_n, start_container_n, poststart_n, poststop_n;
};
struct oci_namespace {
    char *type, *path;
};
struct oci_device {
    char *type, *path;
    int64_t major, minor;
    struct opt_u64 file_mode, uid, gid;
};
struct oci_device_cgroup {
    bool allow;
    char *type, *access;
    struct opt_i64 major, minor;
};
struct oci_memory {
    struct opt_i64 limit, reservation, swap, kernel, kernel_tcp;
    struct opt_u64 swappiness;
    struct opt_bool disable_oom_killer, use_hierarchy, check_before_update;
};
struct oci_cpu {
    struct opt_u64 shares, period, realtime_period, burst;
    struct opt_i64 quota, realtime_runtime, idle;
    char *cpus, *mems;
};
struct oci_pids {
    struct opt_i64 limit;
};
struct oci_weight_device {
    int64_t major, minor;
    struct opt_u64 weight, leaf_weight;
};
struct oci_throttle_device {
    int64_t major, minor;
    uint64_t rate;
};
struct oci_block_io {
    struct opt_u64 weight, leaf_weight;
    struct oci_weight_device *weight_device;
    struct oci_throttle_device *read_bps, *write_bps, *read_iops, *write_iops;
    size_t weight_device_n, read_bps_n, write_bps_n, read_iops_n, write_iops_n;
};
struct oci_hugepage_limit {
    char *page_size;
    uint64_t limit;
};
struct oci_interface_priority {
    char *name;
    uint32_t priority;
};
struct oci_network {
    struct opt_u64 class_id;
    struct oci_interface_priority *priorities;
    size_t priorities_n;
};
struct oci_resources {
    struct oci_device_cgroup *devices;
    size_t devices_n;
    struct oci_memory *memory;
    struct oci_cpu *cpu;
    struct oci_pids *pids;
    struct oci_block_io *block_io;
    struct oci_hugepage_limit *hugepage_limits;
    size_t hugepage_limits_n;
    struct oci_network *network;
    json_t *rdma; /* map of limits by device name */
    struct strmap unified;
    json_t *rest;
};
struct oci_seccomp_arg {
    uint32_t index;
    uint64_t value, value_two;
    char *op;
};
struct oci_seccomp_rule {
    struct strv names;
    char *action;
    struct opt_u64 errno_ret;
    struct oci_seccomp_arg *args;
    size_t args_n;
};
struct oci_seccomp {
    char *default_action;
    struct opt_u64 default_errno_ret;
    struct strv architectures, flags;
    char *listener_path, *listener_metadata;
    struct oci_seccomp_rule *syscalls;
    size_t syscalls_n;
};
struct oci_time_offset {
    int64_t secs;
    uint32_t nanosecs;
};
struct oci_linux {
    struct oci_namespace *namespaces;
    struct oci_id_mapping *uid_mappings, *gid_mappings;
    struct oci_device *devices;
    size_t namespaces_n, uid_mappings_n, gid_mappings_n, devices_n;
    json_t *time_offsets; /* {"monotonic": {secs, nanosecs}, "boottime": ...} */
    char *cgroups_path, *rootfs_propagation, *mount_label;
    struct oci_resources *resources;
    struct strmap sysctl;
    struct oci_seccomp *seccomp;
    struct strv masked_paths, readonly_paths;
    json_t *intel_rdt, *personality, *memory_policy, *net_devices;
    json_t *rest;
};
struct oci_spec {
    char *oci_version;
    struct oci_root *root;
    char *hostname, *domainname;
    struct oci_mount *mounts;
    size_t mounts_n;
    struct oci_process *process;
    struct oci_hooks *hooks;
    struct oci_linux *linux_;
    struct strmap annotations;
    json_t *rest;
};

extern const struct bind_type oci_spec_type, oci_process_type, oci_seccomp_type, oci_seccomp_arg_type,
    oci_resources_type, oci_hooks_type;

void oci_spec_free(struct oci_spec *spec);
OWN_TYPE(oci_spec, struct oci_spec *, oci_spec_free)
fallible oci_spec_read(const char *text, size_t len, struct oci_spec **ret);
/* Adds a zeroed element and answers it: oci_spec_add_mount(spec)->destination = ... Pointers move at the next add. */
struct oci_mount *oci_spec_add_mount(struct oci_spec *spec);
struct oci_namespace *oci_spec_add_namespace(struct oci_spec *spec, const char *type, const char *path);
/* NULL when the spec has no namespace of this type ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")
 */
const struct oci_namespace *oci_spec_namespace(const struct oci_spec *spec, const char *type);

#endif
