// SPDX-License-Identifier: GPL-2.0-or-later
#include "spec/oci_runtime.h"

#include "spec/annotations.h"
#include "spec/oci_check.h"

#define TYPE(var, name_, T_)                                                                                           \
    static const struct bind_type var = { .name = name_, .size = sizeof(T_), .fields = var##_fields }

#define T struct oci_root
static const struct bind_field root_type_fields[] = {
    BIND_STR(T, path, "path", .flags = BIND_REQUIRED),
    BIND_BOOL(T, readonly, "readonly"),
    BIND_END,
};
TYPE(root_type, "root", T);
#undef T

#define T struct oci_id_mapping
static const struct bind_field id_mapping_type_fields[] = {
    BIND_U32(T, container_id, "containerID", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_U32(T, host_id, "hostID", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_U32(T, size, "size", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_END,
};
TYPE(id_mapping_type, "mapping", T);
#undef T

#define T struct oci_mount
static const struct bind_field mount_type_fields[] = {
    BIND_STR(T, destination, "destination", .flags = BIND_REQUIRED),
    BIND_STR(T, type, "type"),
    BIND_STR(T, source, "source"),
    BIND_STRS(T, options, "options"),
    BIND_OBJS(T, uid_mappings, uid_mappings_n, "uidMappings", id_mapping_type),
    BIND_OBJS(T, gid_mappings, gid_mappings_n, "gidMappings", id_mapping_type),
    BIND_STR(T, beneath, "huskBeneath"),
    BIND_END,
};
TYPE(mount_type, "mount", T);
#undef T

#define T struct oci_user
static const struct bind_field user_type_fields[] = {
    BIND_U32(T, uid, "uid", .flags = BIND_ALWAYS),
    BIND_U32(T, gid, "gid", .flags = BIND_ALWAYS),
    BIND_OPT_U64(T, umask, "umask"),
    BIND_RAW(T, additional_gids, "additionalGids"),
    BIND_END,
};
TYPE(user_type, "user", T);
#undef T

#define T struct oci_console_size
static const struct bind_field console_size_type_fields[] = {
    BIND_U32(T, height, "height", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_U32(T, width, "width", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_END,
};
TYPE(console_size_type, "consoleSize", T);
#undef T

#define T struct oci_capabilities
static const struct bind_field capabilities_type_fields[] = {
    BIND_STRS(T, bounding, "bounding"),       BIND_STRS(T, effective, "effective"),
    BIND_STRS(T, inheritable, "inheritable"), BIND_STRS(T, permitted, "permitted"),
    BIND_STRS(T, ambient, "ambient"),         BIND_END,
};
TYPE(capabilities_type, "capabilities", T);
#undef T

#define T struct oci_rlimit
static const struct bind_field rlimit_type_fields[] = {
    BIND_STR(T, type, "type", .flags = BIND_REQUIRED),
    BIND_U64(T, hard, "hard", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_U64(T, soft, "soft", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_END,
};
TYPE(rlimit_type, "rlimit", T);
#undef T

#define T struct oci_scheduler
static const struct bind_field scheduler_type_fields[] = {
    BIND_STR(T, policy, "policy", .flags = BIND_REQUIRED),
    BIND_OPT_I64(T, nice, "nice"),
    BIND_I64(T, priority, "priority"),
    BIND_STRS(T, flags, "flags"),
    BIND_U64(T, runtime, "runtime"),
    BIND_U64(T, deadline, "deadline"),
    BIND_U64(T, period, "period"),
    BIND_END,
};
TYPE(scheduler_type, "scheduler", T);
#undef T

#define T struct oci_io_priority
static const struct bind_field io_priority_type_fields[] = {
    BIND_STR(T, klass, "class", .flags = BIND_REQUIRED),
    BIND_I64(T, priority, "priority", .flags = BIND_ALWAYS),
    BIND_END,
};
TYPE(io_priority_type, "ioPriority", T);
#undef T

#define T struct oci_cpu_affinity
static const struct bind_field cpu_affinity_type_fields[] = {
    BIND_STR(T, initial, "initial"),
    BIND_STR(T, final, "final"),
    BIND_END,
};
TYPE(cpu_affinity_type, "execCPUAffinity", T);
#undef T

#define T struct oci_process
static const struct bind_field process_fields[] = {
    BIND_BOOL(T, terminal, "terminal"),
    BIND_OBJ(T, console_size, "consoleSize", console_size_type),
    BIND_OBJ(T, user, "user", user_type),
    BIND_STRS(T, args, "args"),
    BIND_STRS(T, env, "env"),
    BIND_STR(T, cwd, "cwd", .flags = BIND_REQUIRED),
    BIND_OBJ(T, capabilities, "capabilities", capabilities_type),
    BIND_OBJS(T, rlimits, rlimits_n, "rlimits", rlimit_type),
    BIND_BOOL(T, no_new_privileges, "noNewPrivileges"),
    BIND_STR(T, apparmor_profile, "apparmorProfile"),
    BIND_STR(T, selinux_label, "selinuxLabel"),
    BIND_OPT_I64(T, oom_score_adj, "oomScoreAdj"),
    BIND_OBJ(T, scheduler, "scheduler", scheduler_type),
    BIND_OBJ(T, io_priority, "ioPriority", io_priority_type),
    BIND_OBJ(T, exec_cpu_affinity, "execCPUAffinity", cpu_affinity_type),
    BIND_REST(T, rest),
    BIND_END,
};
const struct bind_type oci_process_type = { .name = "process", .size = sizeof(T), .fields = process_fields };
#undef T

#define T struct oci_hook
static const struct bind_field hook_type_fields[] = {
    BIND_STR(T, path, "path", .flags = BIND_REQUIRED),
    BIND_STRS(T, args, "args"),
    BIND_STRS(T, env, "env", .flags = BIND_GIVEN),
    BIND_OPT_I64(T, timeout, "timeout"),
    BIND_END,
};
TYPE(hook_type, "hook", T);
#undef T

#define T struct oci_hooks
static const struct bind_field hooks_type_fields[] = {
    BIND_OBJS(T, prestart, prestart_n, "prestart", hook_type),
    BIND_OBJS(T, create_runtime, create_runtime_n, "createRuntime", hook_type),
    BIND_OBJS(T, create_container, create_container_n, "createContainer", hook_type),
    BIND_OBJS(T, start_container, start_container_n, "startContainer", hook_type),
    BIND_OBJS(T, poststart, poststart_n, "poststart", hook_type),
    BIND_OBJS(T, poststop, poststop_n, "poststop", hook_type),
    BIND_END,
};
const struct bind_type oci_hooks_type = { .name = "hooks", .size = sizeof(T), .fields = hooks_type_fields };
#undef T

#define T struct oci_namespace
static const struct bind_field namespace_type_fields[] = {
    BIND_STR(T, type, "type", .flags = BIND_REQUIRED),
    BIND_STR(T, path, "path"),
    BIND_END,
};
TYPE(namespace_type, "namespace", T);
#undef T

#define T struct oci_device
static const struct bind_field device_type_fields[] = {
    BIND_STR(T, type, "type", .flags = BIND_REQUIRED),
    BIND_STR(T, path, "path", .flags = BIND_REQUIRED),
    BIND_I64(T, major, "major", .flags = BIND_ALWAYS),
    BIND_I64(T, minor, "minor", .flags = BIND_ALWAYS),
    BIND_OPT_U64(T, file_mode, "fileMode"),
    BIND_OPT_U64(T, uid, "uid"),
    BIND_OPT_U64(T, gid, "gid"),
    BIND_END,
};
TYPE(device_type, "device", T);
#undef T

#define T struct oci_device_cgroup
static const struct bind_field device_cgroup_type_fields[] = {
    BIND_BOOL(T, allow, "allow", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_STR(T, type, "type"),
    BIND_OPT_I64(T, major, "major"),
    BIND_OPT_I64(T, minor, "minor"),
    BIND_STR(T, access, "access"),
    BIND_END,
};
TYPE(device_cgroup_type, "device", T);
#undef T

#define T struct oci_memory
static const struct bind_field memory_type_fields[] = {
    BIND_OPT_I64(T, limit, "limit"),
    BIND_OPT_I64(T, reservation, "reservation"),
    BIND_OPT_I64(T, swap, "swap"),
    BIND_OPT_I64(T, kernel, "kernel"),
    BIND_OPT_I64(T, kernel_tcp, "kernelTCP"),
    BIND_OPT_U64(T, swappiness, "swappiness"),
    BIND_OPT_BOOL(T, disable_oom_killer, "disableOOMKiller"),
    BIND_OPT_BOOL(T, use_hierarchy, "useHierarchy"),
    BIND_OPT_BOOL(T, check_before_update, "checkBeforeUpdate"),
    BIND_END,
};
TYPE(memory_type, "memory", T);
#undef T

#define T struct oci_cpu
static const struct bind_field cpu_type_fields[] = {
    BIND_OPT_U64(T, shares, "shares"),
    BIND_OPT_I64(T, quota, "quota"),
    BIND_OPT_U64(T, burst, "burst"),
    BIND_OPT_U64(T, period, "period"),
    BIND_OPT_I64(T, realtime_runtime, "realtimeRuntime"),
    BIND_OPT_U64(T, realtime_period, "realtimePeriod"),
    BIND_STR(T, cpus, "cpus"),
    BIND_STR(T, mems, "mems"),
    BIND_OPT_I64(T, idle, "idle"),
    BIND_END,
};
TYPE(cpu_type, "cpu", T);
#undef T

#define T struct oci_pids
static const struct bind_field pids_type_fields[] = { BIND_OPT_I64(T, limit, "limit"), BIND_END };
TYPE(pids_type, "pids", T);
#undef T

#define T struct oci_weight_device
static const struct bind_field weight_device_type_fields[] = {
    BIND_I64(T, major, "major", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_I64(T, minor, "minor", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_OPT_U64(T, weight, "weight"),
    BIND_OPT_U64(T, leaf_weight, "leafWeight"),
    BIND_END,
};
TYPE(weight_device_type, "device", T);
#undef T

#define T struct oci_throttle_device
static const struct bind_field throttle_device_type_fields[] = {
    BIND_I64(T, major, "major", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_I64(T, minor, "minor", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_U64(T, rate, "rate", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_END,
};
TYPE(throttle_device_type, "device", T);
#undef T

#define T struct oci_block_io
static const struct bind_field block_io_type_fields[] = {
    BIND_OPT_U64(T, weight, "weight"),
    BIND_OPT_U64(T, leaf_weight, "leafWeight"),
    BIND_OBJS(T, weight_device, weight_device_n, "weightDevice", weight_device_type),
    BIND_OBJS(T, read_bps, read_bps_n, "throttleReadBpsDevice", throttle_device_type),
    BIND_OBJS(T, write_bps, write_bps_n, "throttleWriteBpsDevice", throttle_device_type),
    BIND_OBJS(T, read_iops, read_iops_n, "throttleReadIOPSDevice", throttle_device_type),
    BIND_OBJS(T, write_iops, write_iops_n, "throttleWriteIOPSDevice", throttle_device_type),
    BIND_END,
};
TYPE(block_io_type, "blockIO", T);
#undef T

#define T struct oci_hugepage_limit
static const struct bind_field hugepage_limit_type_fields[] = {
    BIND_STR(T, page_size, "pageSize", .flags = BIND_REQUIRED),
    BIND_U64(T, limit, "limit", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_END,
};
TYPE(hugepage_limit_type, "hugepageLimit", T);
#undef T

#define T struct oci_interface_priority
static const struct bind_field interface_priority_type_fields[] = {
    BIND_STR(T, name, "name", .flags = BIND_REQUIRED),
    BIND_U32(T, priority, "priority", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_END,
};
TYPE(interface_priority_type, "priority", T);
#undef T

#define T struct oci_network
static const struct bind_field network_type_fields[] = {
    BIND_OPT_U64(T, class_id, "classID"),
    BIND_OBJS(T, priorities, priorities_n, "priorities", interface_priority_type),
    BIND_END,
};
TYPE(network_type, "network", T);
#undef T

#define T struct oci_resources
static const struct bind_field resources_fields[] = {
    BIND_OBJS(T, devices, devices_n, "devices", device_cgroup_type),
    BIND_OBJ(T, memory, "memory", memory_type),
    BIND_OBJ(T, cpu, "cpu", cpu_type),
    BIND_OBJ(T, pids, "pids", pids_type),
    BIND_OBJ(T, block_io, "blockIO", block_io_type),
    BIND_OBJS(T, hugepage_limits, hugepage_limits_n, "hugepageLimits", hugepage_limit_type),
    BIND_OBJ(T, network, "network", network_type),
    BIND_RAW(T, rdma, "rdma"),
    BIND_MAP(T, unified, "unified"),
    BIND_REST(T, rest),
    BIND_END,
};
const struct bind_type oci_resources_type = { .name = "resources", .size = sizeof(T), .fields = resources_fields };
#undef T

#define T struct oci_seccomp_arg
static const struct bind_field seccomp_arg_type_fields[] = {
    BIND_U32(T, index, "index", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_U64(T, value, "value", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_U64(T, value_two, "valueTwo"),
    BIND_STR(T, op, "op", .flags = BIND_REQUIRED),
    BIND_END,
};
const struct bind_type oci_seccomp_arg_type = { .name = "arg", .size = sizeof(T), .fields = seccomp_arg_type_fields };
#undef T

#define T struct oci_seccomp_rule
static const struct bind_field seccomp_rule_type_fields[] = {
    BIND_STRS(T, names, "names", .flags = BIND_REQUIRED),
    BIND_STR(T, action, "action", .flags = BIND_REQUIRED),
    BIND_OPT_U64(T, errno_ret, "errnoRet"),
    BIND_OBJS(T, args, args_n, "args", oci_seccomp_arg_type),
    BIND_END,
};
TYPE(seccomp_rule_type, "syscall", T);
#undef T

#define T struct oci_seccomp
static const struct bind_field seccomp_fields[] = {
    BIND_STR(T, default_action, "defaultAction", .flags = BIND_REQUIRED),
    BIND_OPT_U64(T, default_errno_ret, "defaultErrnoRet"),
    BIND_STRS(T, flags, "flags"),
    BIND_STR(T, listener_path, "listenerPath"),
    BIND_STR(T, listener_metadata, "listenerMetadata"),
    BIND_STRS(T, architectures, "architectures"),
    BIND_OBJS(T, syscalls, syscalls_n, "syscalls", seccomp_rule_type),
    BIND_END,
};
const struct bind_type oci_seccomp_type = { .name = "seccomp", .size = sizeof(T), .fields = seccomp_fields };
#undef T

#define T struct oci_linux
static const struct bind_field linux_fields[] = {
    BIND_OBJS(T, namespaces, namespaces_n, "namespaces", namespace_type),
    BIND_OBJS(T, uid_mappings, uid_mappings_n, "uidMappings", id_mapping_type),
    BIND_OBJS(T, gid_mappings, gid_mappings_n, "gidMappings", id_mapping_type),
    BIND_RAW(T, time_offsets, "timeOffsets"),
    BIND_OBJS(T, devices, devices_n, "devices", device_type),
    BIND_RAW(T, net_devices, "netDevices"),
    BIND_STR(T, cgroups_path, "cgroupsPath"),
    BIND_OBJ(T, resources, "resources", oci_resources_type),
    BIND_RAW(T, intel_rdt, "intelRdt"),
    BIND_RAW(T, memory_policy, "memoryPolicy"),
    BIND_MAP(T, sysctl, "sysctl"),
    BIND_OBJ(T, seccomp, "seccomp", oci_seccomp_type),
    BIND_STR(T, rootfs_propagation, "rootfsPropagation"),
    BIND_STRS(T, masked_paths, "maskedPaths"),
    BIND_STRS(T, readonly_paths, "readonlyPaths"),
    BIND_STR(T, mount_label, "mountLabel"),
    BIND_RAW(T, personality, "personality"),
    BIND_REST(T, rest),
    BIND_END,
};
static const struct bind_type linux_type = { .name = "linux", .size = sizeof(T), .fields = linux_fields };
#undef T

#define T struct oci_spec
static const struct bind_field spec_fields[] = {
    BIND_STR(T, oci_version, "ociVersion", .flags = BIND_REQUIRED),
    BIND_OBJ(T, process, "process", oci_process_type),
    BIND_OBJ(T, root, "root", root_type),
    BIND_STR(T, hostname, "hostname"),
    BIND_STR(T, domainname, "domainname"),
    BIND_OBJS(T, mounts, mounts_n, "mounts", mount_type),
    BIND_OBJ(T, hooks, "hooks", oci_hooks_type),
    BIND_MAP(T, annotations, "annotations"),
    BIND_OBJ(T, linux_, "linux", linux_type),
    BIND_REST(T, rest),
    BIND_END,
};
const struct bind_type oci_spec_type = { .name = "config.json", .size = sizeof(T), .fields = spec_fields };
#undef T

void oci_spec_free(struct oci_spec *spec)
{
    bind_free(&oci_spec_type, spec);
}

fallible oci_spec_read(const char *text, size_t len, struct oci_spec **ret)
{
    own(oci_spec) struct oci_spec *spec = NULL;
    void *read = NULL;
    TRY(bind_read(&oci_spec_type, text, len, &read));
    spec = read;
    TRY_AS(oci_check(spec), "config.json");
    TRY_AS(annotations_heed(spec), "config.json");
    *ret = take(spec);
    return NULL;
}

struct oci_mount *oci_spec_add_mount(struct oci_spec *spec)
{
    spec->mounts = mem_array(spec->mounts, spec->mounts_n + 1, sizeof *spec->mounts);
    spec->mounts[spec->mounts_n] = (struct oci_mount){ 0 };
    return &spec->mounts[spec->mounts_n++];
}

struct oci_namespace *oci_spec_add_namespace(struct oci_spec *spec, const char *type, const char *path)
{
    if (!spec->linux_)
        spec->linux_ = mem_zalloc(sizeof *spec->linux_);
    struct oci_linux *l = spec->linux_;
    l->namespaces = mem_array(l->namespaces, l->namespaces_n + 1, sizeof *l->namespaces);
    l->namespaces[l->namespaces_n] = (struct oci_namespace){ mem_strdup(type), mem_strdup(path) };
    return &l->namespaces[l->namespaces_n++];
}

const struct oci_namespace *oci_spec_namespace(const struct oci_spec *spec, const char *type)
{
    for (size_t i = 0; spec->linux_ && i < spec->linux_->namespaces_n; i++)
        if (str_eq(spec->linux_->namespaces[i].type, type))
            return &spec->linux_->namespaces[i];
    return NULL;
}
