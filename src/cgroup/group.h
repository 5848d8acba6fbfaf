/*
 * group.h: what the files of this chapter share: hierarchies, a group's directories, the table of limits.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CGROUP_GROUP_H
#define HUSK_CGROUP_GROUP_H

#include "base/mem.h"
#include "cgroup/cgroup.h"

/* One mounted hierarchy: all of v2, or one or more v1 controllers. */
struct hierarchy {
    char *mount;             /* where it is mounted: "/sys/fs/cgroup/memory" */
    char *root;              /* which of its directories is mounted there: "/" except inside some containers */
    char *own;               /* this process's group as seen below mount: "/", "/user.slice/..." */
    struct strv controllers; /* v1: "memory", "cpu", "name=systemd"; v2: what cgroup.controllers lists at the mount */
    bool v2;
    bool owned;    /* we are root, and it is root's: nobody needs to be asked whether we may write */
    bool writable; /* this process may make groups below cgroup_host_base() */
};
struct cgroup_host {
    struct hierarchy *items;
    size_t n;
    char *base;
    char *why; /* not usable: the cure */
    bool v1_readers;
    bool foreground;
    bool divisions;
    bool overrides; /* this process overrides file modes */
    bool kept;      /* known from a file: layout.h */
};
void host_clear(struct cgroup_host *h); /* of its hierarchies */

/* A group: of hierarchies that it is in, the directory. */
struct part {
    char *name; /* of the mount's directory: "memory", "unified"; "" when v2 is alone */
    char *mount, *dir;
    struct strv controllers;
    bool v2;
    bool there;   /* the directory exists */
    bool unknown; /* nobody has looked whether it does: group_complete() does */
};
struct cgroup {
    char *path;
    struct part *parts;
    size_t n;
    int v2_fd; /* O_DIRECTORY, or -1 */
};

/* Opens v2's directory, and looks for v1's only where there is none: an exec needs no more, and ten directories were 4
 * % of its time. Whoever looks at parts[].there calls group_complete() first. */
void group_look(struct cgroup *g);
void group_complete(const struct cgroup *g);
/* The part with a controller, preferring v1, all of them looked at; NULL when the host has none. "": v2's core files.
 */
struct part *group_part(const struct cgroup *g, const char *controller);
struct part *group_v2(const struct cgroup *g);
/* Makes the part's directory, what cpuset needs in it, and on v2 lets the controller reach down to it. */
fallible group_make_part(const struct cgroup *g, struct part *p);
fallible group_enable_v2(const struct part *p, const char *path, const char *controller);

/* limits.c: writes what is set; makes missing parts. update: a group with processes in it. */
enum limits_when { LIMITS_NEW, LIMITS_UPDATE };
fallible limits_apply(const struct cgroup *g, const struct oci_resources *r, enum limits_when when);
/* Whether a new group needs this v1 hierarchy from the start. */
bool limits_need(const struct cgroup_host *h, const struct part *p, const struct oci_resources *r, bool has_v2);
/* Calls each with "file" and "value" for every write. */
typedef err *limits_each(void *ctx, const struct part *p, const char *what, const char *file, const char *value);
fallible limits_walk(const struct cgroup *g, const struct oci_resources *r, enum limits_when when, limits_each *each,
                     void *ctx);

/* devices.c */
fallible devices_apply(const struct cgroup *g, const struct oci_device_cgroup *rules, size_t n);

#endif
