/*
 * scope.h: the systemd driver: a container's group as a transient scope unit.
 *
 * systemd is spoken to over D-Bus by a program of its own, husk-systemd, since libsystemd comes shared only: see
 * docs/adr/0015. A scope needs a process to begin with: that is husk-systemd itself, which stays in the group until the
 * container's own processes are there, so that they can be cloned right into it. Source: org.freedesktop.systemd1(5),
 * systemd.resource-control(5), runc's docs/systemd.md for cgroupsPath and annotations.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CGROUP_SCOPE_H
#define HUSK_CGROUP_SCOPE_H

#include <sys/types.h>

#include "cgroup/cgroup.h"

/* Which systemd: the system's, or the caller's own (systemd --user). */
enum scope_manager { SCOPE_SYSTEM, SCOPE_USER };

struct scope_plan {
    char *slice, *unit;
    enum scope_manager manager;
};
/**
 * scope_plan - from cgroupsPath, "slice:prefix:name": "" is system.slice (user.slice for a user), prefix "husk" and the
 * id. An empty prefix leaves the name alone. INVALID for any other form.
 */
fallible scope_plan(const char *cgroups_path, const char *id, enum scope_manager manager, struct scope_plan *ret);
void scope_plan_clear(struct scope_plan *p);

/**
 * scope_properties - limits as systemd's properties, "Name=TEXT" in variant.h's form, and those that annotations ask
 * for (org.systemd.property.NAME, "...Sec" in seconds). What systemd has no property for is left to the files.
 * annotations may be NULL.
 */
fallible scope_properties(bool v2, const struct oci_resources *r, const struct strmap *annotations,
                          struct strv *ret_properties);

/* A scope that was begun: its helper stays in it until this is cleared. */
struct scope_hold {
    int sock, pidfd;
};
#define SCOPE_HOLD_NONE                                                                                                \
    {                                                                                                                  \
        -1, -1                                                                                                         \
    }
void scope_hold_clear(struct scope_hold *h);
/* Starts the scope, and waits until systemd has. ret_path: the group, absolute. UNSUPPORTED: no systemd here. */
fallible scope_start(const struct scope_plan *p, const char *description, const struct strv *properties,
                     char **ret_path, struct scope_hold *ret_hold);
/* Changes a scope's properties until the end of it. */
fallible scope_set(enum scope_manager manager, const char *unit, const struct strv *properties);
/* Moves a process in, by systemd: where the caller itself may not. below: "/init.scope", a group below the scope's;
 * NULL: the scope's own. */
fallible scope_attach(enum scope_manager manager, const char *unit, const char *below, pid_t pid);
/* Ends the scope, and waits for it; one that is gone is no error. */
fallible scope_stop(enum scope_manager manager, const char *unit);

/* What the helper answers, one SOCK_SEQPACKET message on its standard input: the letter, then a path or an encoded
 * error. */
enum { SCOPE_SAYS_OK = 'o', SCOPE_SAYS_ERROR = 'e' };

#endif
