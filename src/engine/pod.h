/*
 * pod.h: containers that share namespaces, limits and a life: podman's pods.
 *
 * A pod is one row in husk.db; its members are the containers with its ID in theirs. The namespaces that are shared
 * are those of its infra, which is a container like any other (so killed, adopted, mended, published and connected like
 * any other) whose program is husk-init -P, bound into an empty root: it holds them, reaps for a shared process
 * namespace, and does nothing else. Its row and the pod's are made and removed in one transaction. A member joins by
 * "container:INFRA" and is started after it by --requires. The members' control groups are in one of the pod's,
 * <cgroup parent>/pod-ID, which has the pod's limits.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_POD_H
#define HUSK_ENGINE_POD_H

#include "engine/container.h"

struct pod_config {
    struct strmap labels;
    struct strv share;                     /* of "ipc", "net", "pid", "uts" */
    char *exit_policy;                     /* "continue", "stop": when its last container ends */
    char *restart;                         /* the members' policy, unless they have their own; NULL: none */
    char *cgroup;                          /* the members' groups are in this one; NULL: there is none */
    bool no_hosts, no_hostname;            /* of every member */
    struct strv devices, security;         /* --device, --security-opt of every member */
    struct container_resources *resources; /* of all of them together; NULL: no limits */
};
struct pod {
    struct engine *engine; /* borrowed */
    struct db_pod row;
    struct pod_config *config;
};
void pod_free(struct pod *p);
OWN_TYPE(pod, struct pod *, pod_free)

/* By name, ID or unique prefix. */
fallible pod_find(struct engine *e, const char *what, struct pod **ret);
struct pod_list {
    struct pod **items;
    size_t n;
};
/* Newest first. */
fallible pod_list(struct engine *e, struct pod_list *ret);
void pod_list_clear(struct pod_list *l);
static inline void own_drop_pod_list(struct pod_list *l)
{
    pod_list_clear(l);
}

struct pod_options {
    const char *share, *infra_name, *exit_policy, *id_file;
    struct opt_bool infra, share_parent;
};
/* Of *o: name, labels, limits, networks, ports, names, volumes and what else the infra or all members get. */
fallible pod_create(struct engine *e, const struct pod_options *p, const struct create_options *o, struct pod **ret);
/* The pod that has the name which a new one wants (--replace), as late as it can be: what is wrong with the new one is
 * found while the old one runs. */
fallible pod_remove_old(struct engine *e, const char *name, bool *ret_removed);
/**
 * pod_clone - another pod like one that there is, with clones of its containers (engine/clone.h). pod_clone.c
 * @o: its name, labels, limits, control group and host name, over what the other has.
 * On an error nothing of it is left.
 */
fallible pod_clone(const struct pod *from, const struct create_options *o, const char *infra_name, struct pod **ret);
/* container_create() with --pod, --pod-id-file or --init-ctr. */
fallible pod_create_member(struct engine *e, const struct create_options *o, char *const *args, size_t args_n,
                           struct container **ret);
/* For container_create(): what the pod says of a new member. */
fallible pod_join(const struct pod *p, struct container_config *config);

/* Its containers with their states, the infra first, then as they were made. */
struct pod_members {
    struct container **items;
    struct container_state *states;
    size_t n;
    bool infra; /* the first is it */
};
fallible pod_members(const struct pod *p, struct pod_members *ret);
void pod_members_clear(struct pod_members *m);
static inline void own_drop_pod_members(struct pod_members *m)
{
    pod_members_clear(m);
}
/* "Created", "Running", "Degraded", "Exited", "Paused": podman's words. */
const char *pod_status(const struct pod_members *m);

/* The infra, then those with --init-ctr one after the other, each to its end, then the others. */
fallible pod_start(struct pod *p);
/* All at the same time, the infra last. */
fallible pod_stop(struct pod *p, const struct stop_options *o);
fallible pod_kill(struct pod *p, int signal);
enum pod_freeze { POD_PAUSE, POD_UNPAUSE };
fallible pod_freeze(struct pod *p, enum pod_freeze how);
/* With its containers. CONFLICT when one runs, unless force. */
fallible pod_remove(struct pod *p, const struct remove_options *o);
/* What would forbid that: CONFLICT. ret: what it has. */
fallible pod_removal(const struct pod *p, bool force, struct pod_members *ret);
/* A container of it has ended: stops a pod whose policy is to stop with the last. No such pod is no error. */
fallible pod_settle(struct engine *e, const char *id);
/* Before a member starts: the pod's control group with its limits is there. */
fallible pod_prepare(struct engine *e, const char *id);

#endif
