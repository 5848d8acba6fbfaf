/*
 * netdev.h: moving the host's network devices into a container (linux.netDevices), with their addresses.
 *
 * Done by the parent, which has rights in both namespaces. A start that fails afterwards gives them back: with the
 * namespace the kernel would destroy virtual ones. After a start that succeeded nobody does: a device then belongs to
 * its namespace. Source: runtime-spec config-linux.md, "Network Devices"; rtnetlink(7).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NAMESPACES_NETDEV_H
#define HUSK_NAMESPACES_NETDEV_H

#include "namespaces/namespaces.h"

struct netdev_moved;
struct netdevs {
    int host, inside; /* netlink sockets */
    int host_ns;
    struct netdev_moved *moved;
    size_t moved_n;
};
void netdevs_clear(struct netdevs *d);

/* INVALID for names that no device can have or that come twice, and without a network namespace to move them to. */
fallible netdev_check(const struct oci_spec *spec, const struct namespaces *ns);
/**
 * netdev_move - all of linux.netDevices.
 * @pid: the container's first process, whose network namespace it is, unless one is joined.
 * On an error those that were moved are back, with what is in *d nothing has to be done but netdevs_clear().
 * Errors: NOT_FOUND, EXISTS (the name is taken inside), DENIED.
 */
fallible netdev_move(const struct oci_spec *spec, const struct namespaces *ns, pid_t pid, struct netdevs *d);
/* The other way, when the start fails later: best effort. */
void netdev_give_back(struct netdevs *d);

#endif
