/*
 * limit_options.h: rows of the limits that a container which is there can be given anew. Into a struct whose member
 * `create` is a struct create_options.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_LIMIT_OPTIONS_H
#define HUSK_CLI_LIMIT_OPTIONS_H

#define LIMIT_OPTIONS(TYPE)                                                                                            \
    OPT_BYTES('m', "memory", TYPE, create.memory, "BYTES", "Memory; -1: no limit"),                                    \
        OPT_BYTES(0, "memory-swap", TYPE, create.memory_swap, "BYTES",                                                 \
                  "Memory and swap together; -1: swap without limit"),                                                 \
        OPT_BYTES(0, "memory-reservation", TYPE, create.memory_reservation, "BYTES",                                   \
                  "Memory that it gets under pressure"),                                                               \
        OPT_I64(0, "memory-swappiness", TYPE, create.memory_swappiness, "N", "How readily it swaps: 0 to 100"),        \
        OPT_STR(0, "cpus", TYPE, create.cpus, "N", "Processors, such as 1.5"),                                         \
        OPT_I64('c', "cpu-shares", TYPE, create.cpu_shares, "N", "Its weight among others (docker's 1024 is 1)"),      \
        OPT_I64(0, "cpu-period", TYPE, create.cpu_period, "MICROSECONDS", "Period of the CPU quota"),                  \
        OPT_I64(0, "cpu-quota", TYPE, create.cpu_quota, "MICROSECONDS",                                                \
                "Time it may run in each period; -1: no limit"),                                                       \
        OPT_I64(0, "cpu-rt-period", TYPE, create.cpu_rt_period, "MICROSECONDS", "Period of real-time (cgroup v1)"),    \
        OPT_I64(0, "cpu-rt-runtime", TYPE, create.cpu_rt_runtime, "MICROSECONDS", "Real-time in each (cgroup v1)"),    \
        OPT_STR(0, "cpuset-cpus", TYPE, create.cpuset_cpus, "LIST", "The processors it may run on: 0-3,7"),            \
        OPT_STR(0, "cpuset-mems", TYPE, create.cpuset_mems, "LIST", "The memory nodes it may use"),                    \
        OPT_I64(0, "blkio-weight", TYPE, create.blkio_weight, "N", "Its share of disks: 10 to 1000"),                  \
        OPT_STRS(0, "blkio-weight-device", TYPE, create.blkio_weight_device, "DEVICE:N", "Its share of one disk"),     \
        OPT_STRS(0, "device-read-bps", TYPE, create.device_read_bps, "DEVICE:BYTES", "Bytes read a second"),           \
        OPT_STRS(0, "device-write-bps", TYPE, create.device_write_bps, "DEVICE:BYTES", "Bytes written a second")

/* And of a pod: of all its containers together. */
#define POD_LIMIT_OPTIONS(TYPE)                                                                                        \
    OPT_BYTES('m', "memory", TYPE, create.memory, "BYTES", "Memory"),                                                  \
        OPT_BYTES(0, "memory-swap", TYPE, create.memory_swap, "BYTES",                                                 \
                  "Memory and swap together; -1: swap without limit"),                                                 \
        OPT_STR(0, "cpus", TYPE, create.cpus, "N", "Processors, such as 1.5"),                                         \
        OPT_I64('c', "cpu-shares", TYPE, create.cpu_shares, "N", "Its weight among others (docker's 1024 is 1)"),      \
        OPT_STR(0, "cpuset-cpus", TYPE, create.cpuset_cpus, "LIST", "The processors they may run on: 0-3,7"),          \
        OPT_STR(0, "cpuset-mems", TYPE, create.cpuset_mems, "LIST", "The memory nodes they may use"),                  \
        OPT_I64(0, "blkio-weight", TYPE, create.blkio_weight, "N", "Their share of disks: 10 to 1000"),                \
        OPT_STRS(0, "blkio-weight-device", TYPE, create.blkio_weight_device, "DEVICE:N", "Their share of one disk"),   \
        OPT_STRS(0, "device-read-bps", TYPE, create.device_read_bps, "DEVICE:BYTES", "Bytes read a second"),           \
        OPT_STRS(0, "device-write-bps", TYPE, create.device_write_bps, "DEVICE:BYTES", "Bytes written a second"),      \
        OPT_STR(0, "cgroup-parent", TYPE, create.cgroup_parent, "GROUP", "Their control group is made in this one")

#endif
