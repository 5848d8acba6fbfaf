/*
 * husk pod clone.
 * Compatible with: podman pod clone.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/limit_options.h"
#include "cli/pod.h"

struct pod_clone_opts {
    struct create_options create;
    bool start, destroy;
    const char *infra_name;
    struct {
        const char *device, *gidmap, *gpus, *infra_command, *infra_pidfile, *pid, *restart, *security_opt, *shm_size,
            *shm_size_systemd, *subgidname, *subuidname, *sysctl, *uidmap, *userns, *uts, *volume, *volumes_from;
    } refused;
};

#define T                      struct pod_clone_opts
#define REFUSED(option, field) OPT_STR(0, option, T, refused.field, "VALUE", "Refused: the clone has the other's")
static const struct opt clone_options[] = {
    OPT_STR('n', "name", T, create.name, "NAME", "Its name (default: the other's with -clone)"),
    OPT_FLAG(0, "start", T, start, "Start it"),
    OPT_FLAG(0, "destroy", T, destroy, "Remove the other one, of which nothing may run"),
    OPT_STR(0, "infra-name", T, infra_name, "NAME", "The name of what holds its namespaces (default: ID-infra)"),
    OPT_STRS('l', "label", T, create.label, "KEY=VALUE", "A label more, or another value"),
    OPT_STRS(0, "label-file", T, create.label_file, "FILE", "Labels, one a line"),
    OPT_STR(0, "hostname", T, create.hostname, "NAME", "Its host name (default: its name, where that was the other's)"),
    OPT_GROUP("Other limits than the other's, of all its containers together"),
    POD_LIMIT_OPTIONS(T),
    OPT_GROUP("Refused"),
    REFUSED("device", device),
    REFUSED("gidmap", gidmap),
    REFUSED("gpus", gpus),
    REFUSED("infra-command", infra_command),
    REFUSED("infra-conmon-pidfile", infra_pidfile),
    REFUSED("pid", pid),
    REFUSED("restart", restart),
    REFUSED("security-opt", security_opt),
    REFUSED("shm-size", shm_size),
    REFUSED("shm-size-systemd", shm_size_systemd),
    REFUSED("subgidname", subgidname),
    REFUSED("subuidname", subuidname),
    REFUSED("sysctl", sysctl),
    REFUSED("uidmap", uidmap),
    REFUSED("userns", userns),
    REFUSED("uts", uts),
    REFUSED("volume", volume),
    REFUSED("volumes-from", volumes_from),
    OPT_END,
};
#undef REFUSED
#undef T

/* Its containers were made for it as it is: another world is another pod. */
static fallible check_refused(const struct pod_clone_opts *o)
{
    const struct {
        const char *option, *value;
    } rows[] = {
        { "device", o->refused.device },
        { "gidmap", o->refused.gidmap },
        { "gpus", o->refused.gpus },
        { "infra-command", o->refused.infra_command },
        { "infra-conmon-pidfile", o->refused.infra_pidfile },
        { "pid", o->refused.pid },
        { "restart", o->refused.restart },
        { "security-opt", o->refused.security_opt },
        { "shm-size", o->refused.shm_size },
        { "shm-size-systemd", o->refused.shm_size_systemd },
        { "subgidname", o->refused.subgidname },
        { "subuidname", o->refused.subuidname },
        { "sysctl", o->refused.sysctl },
        { "uidmap", o->refused.uidmap },
        { "userns", o->refused.userns },
        { "uts", o->refused.uts },
        { "volume", o->refused.volume },
        { "volumes-from", o->refused.volumes_from },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].value)
            return err_new(ERR_UNSUPPORTED,
                           "--%s: the containers of a clone are made as the other's were: make a pod with "
                           "`husk pod create --%s` and containers with `husk create --pod`",
                           rows[i].option, rows[i].option);
    return NULL;
}

/* What forbids --destroy is said before anything is made. */
static fallible must_be_still(const struct pod *p)
{
    own(pod_members) struct pod_members m = { 0 };
    TRY(pod_members(p, &m));
    for (size_t i = 0; i < m.n; i++)
        if (m.states[i].status != CONTAINER_CREATED && m.states[i].status != CONTAINER_EXITED)
            return err_new(ERR_CONFLICT,
                           "--destroy: container '%s' of pod '%s' is %s: stop the pod first (husk pod "
                           "stop %s)",
                           m.items[i]->row.name, p->row.name, container_state_word(&m.states[i]), p->row.name);
    return NULL;
}

static fallible clone_run(const void *opts_, struct args args)
{
    const struct pod_clone_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(pod) struct pod *from = NULL, *p = NULL;
    struct create_options create = o->create;
    TRY(check_refused(o));
    if (args.n > 1 && create.name)
        return err_new(ERR_INVALID, "its name twice: '%s' and --name '%s'", args.v[1], create.name);
    if (args.n > 1)
        create.name = args.v[1];
    TRY(engine_open(&engine));
    TRY(pod_find(engine, args.v[0], &from));
    if (o->destroy)
        TRY(must_be_still(from));
    TRY(pod_clone(from, &create, o->infra_name, &p));
    if (o->destroy)
        TRY_AS(pod_remove(from, &(struct remove_options){ .force = false }), "--destroy");
    if (o->start)
        TRY(pod_start(p));
    printf("%s\n", p->row.id);
    return NULL;
}

const struct command cmd_pod_clone = {
    .name = "clone",
    .args = "POD [NAME]",
    .summary = "Make another pod like one that there is, with its containers",
    .detail =
        "It has the other's configuration, networks and published ports, and a container like each of the other's,\n"
        "called NAME-clone, as by husk container clone: what those wrote stays there, anonymous volumes are made "
        "anew,\n"
        "fixed addresses are left out. Of two that publish the same port of the host one can run.",
    .opts = clone_options,
    .opts_size = sizeof(struct pod_clone_opts),
    .min_args = 1,
    .max_args = 2,
    .fail_exit = 125,
    .run = clone_run,
};
