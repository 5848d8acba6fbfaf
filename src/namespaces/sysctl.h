/*
 * sysctl.h: which kernel parameters belong to a namespace, and so may be a container's.
 *
 * Source: namespaces(7), ipc_namespaces(7); the list that runc's and crun's validators agree on.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NAMESPACES_SYSCTL_H
#define HUSK_NAMESPACES_SYSCTL_H

#include "namespaces/namespaces.h"

/* INVALID, with the reason, for a key that would change the host or another container. */
fallible sysctl_check(const struct oci_spec *spec, const struct namespaces *ns);
/* "net.ipv4.ip_forward" -> "sys/net/ipv4/ip_forward"; "net/ipv4/conf/eth0.1/x" keeps its dots. Caller frees. */
char *sysctl_path(const char *key);

#endif
