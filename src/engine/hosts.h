/*
 * hosts.h: the texts of a container's /etc/hosts, /etc/hostname and /etc/resolv.conf.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_HOSTS_H
#define HUSK_ENGINE_HOSTS_H

#include "engine/config.h"
#include "engine/network_start.h"
#include "rootfs/source.h"

/* localhost, the container's own name, and what --add-host says; with --network host the host's lines first. With
 * --hosts-file: what --add-host says, the lines of that file (of the image's: from root), and, where these do not name
 * it, localhost; then the own name. */
fallible hosts_text(const struct container_config *c, const char *hostname, const struct container_network *network,
                    const struct rootfs_source *root, char **ret);
/* The network's resolver; without one the host's servers (never loopback ones, unless the network is the host's), or
 * --dns; and --dns-search, --dns-option. */
fallible resolv_text(const struct container_config *c, const struct container_network *network, char **ret);

/* Lines of hosts(5): of the container's own name with an address, and with all that it has on the networks. */
void hosts_add_name(struct str *out, const struct container_config *c, const char *hostname, const char *ip);
void hosts_add_own_name(struct str *out, const struct container_config *c, const char *hostname,
                        const struct container_network *network);

/* A running container's networks have changed: its own names and its name servers become what a start would write now.
 * The container may have changed the files: what is not husk's in them stays. They are the same files afterwards, since
 * they are mounted. A container that shares another's has none of its own. */
fallible hosts_follow(struct container *c, const struct container_network *network);
/* The same of one that is just starting, without a look at the database. */
fallible hosts_follow_lease(struct container *c, const struct container_network *network);

#endif
