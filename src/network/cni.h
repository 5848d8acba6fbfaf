/*
 * cni.h: networks that CNI plugins make: a list of plugins in a configuration file, each a program that is run with its
 * part of it on its standard input.
 *
 *   <run>/ID/cni   there from before the first plugin was run until all have taken out what they made: the list as it
 *                  was, what was asked of it, and its result
 *
 * Source: github.com/containernetworking/cni, SPEC.md 1.0.0: sections 1 (configuration), 2 (execution protocol), 3
 * (execution of lists), 5 (results); CONVENTIONS.md (capabilities).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_CNI_H
#define HUSK_NETWORK_CNI_H

#include <sys/types.h>

#include "codec/bind.h"
#include "network/firewall.h"
#include "network/rate.h"

#define CNI_FILE        "cni"
#define CNI_CONFIG_DIRS "/etc/cni/net.d"
#define CNI_PLUGIN_DIRS "/opt/cni/bin:/usr/libexec/cni:/usr/lib/cni"
#define CNI_INTERFACE   "eth0"

/**
 * cni_find - a list by its name, in files NAME.conflist, .conf and .json, the first by their names.
 * @dirs:     separated by colons.
 * @ret_list: an object of cniVersion, name and plugins; a file of one plugin becomes a list of it.
 * Errors: NOT_FOUND names the networks that are there; INVALID for a file of that name that is none.
 */
fallible cni_find(const char *dirs, const char *name, json_t **ret_list);
struct cni_wish {
    const json_t *list;
    const char *id, *path; /* of the container; where plugins are, separated by colons */
    const struct firewall_port *ports;
    size_t ports_n;
    struct ip ips[2]; /* of either family; none: any */
    const char *mac;  /* NULL: any */
    const struct strv *aliases;
    struct rate rate;
};
/* What cni_add() is to do, as the file has it; plugins are looked for, none is run. NOT_FOUND names one; UNSUPPORTED
 * where none takes what is wished, by its capabilities. */
fallible cni_plan(const struct cni_wish *w, json_t **ret_plan);
/* Into a process's network namespace. After a failure what was made is taken out again. */
fallible cni_add(const json_t *plan, pid_t pid, int state_fd);
/* What the plugins say about what they made: NULL, or what is wrong. Without the file: nothing. */
fallible cni_check(int state_fd, pid_t pid);
/* Takes out and makes anew. */
fallible cni_again(int state_fd, pid_t pid);
/**
 * cni_end - takes out what the plugins made, also when the namespace is gone; without the file: nothing.
 * A plugin that fails leaves the file for the next attempt; one that fails again is warned of and given up.
 */
fallible cni_end(int state_fd);
/* The addresses of the result, with their prefixes. */
void cni_addresses(int state_fd, struct strv *ret);

#endif
