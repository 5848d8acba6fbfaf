/*
 * devices.h: which devices a container may open: v1's devices controller, or on v2 a BPF program that decides the same.
 *
 * The configuration's list is v1's: rules applied one after the other to a default and its exceptions. It is worked off
 * here, once, and both halves are made from what results. Source: Documentation/admin-guide/cgroup-v1/devices.rst,
 * BPF_PROG_TYPE_CGROUP_DEVICE.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CGROUP_DEVICES_H
#define HUSK_CGROUP_DEVICES_H

#include "base/mem.h"
#include "spec/oci_runtime.h"

enum { DEVICES_ALL_ACCESS = 7 }; /* BPF_DEVCG_ACC_MKNOD 1, READ 2, WRITE 4 */

struct device_exception {
    char type;            /* 'b', 'c' */
    int64_t major, minor; /* -1: any */
    unsigned access;
};
struct device_rules {
    bool allow; /* what holds for all devices but the exceptions */
    struct device_exception *exceptions;
    size_t n;
};
void device_rules_free(struct device_rules *d);
static inline void own_drop_device_rules(struct device_rules *d)
{
    device_rules_free(d);
}

/* They begin at "deny all" (ADR 0059). INVALID: unknown type or access, numbers out of range. */
fallible devices_read(const struct oci_device_cgroup *rules, size_t n, struct device_rules *ret);
/* An exception as v1's files take it: "c 1:3 rwm", "b *:* m". */
void devices_line(const struct device_exception *x, char line[64]);
/* The BPF instructions (struct bpf_insn each), appended. */
void devices_program(const struct device_rules *d, struct str *code);
fallible devices_load(const struct device_rules *d, int *ret_fd);

#endif
