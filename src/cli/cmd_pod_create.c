/*
 * husk pod create.
 * Compatible with: podman pod create.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/limit_options.h"
#include "cli/pod.h"

struct pod_create_opts {
    struct pod_options pod;
    struct create_options create;
    const char *gpus, *infra_image, *infra_command, *shm_size_systemd;
};

static const char *const words_exit[] = { "continue", "stop", NULL };

#define T struct pod_create_opts
static const struct opt pod_create_options[] = {
    OPT_GROUP("The pod"),
    OPT_STR('n', "name", T, create.name, "NAME", "Its name (default: two random words)"),
    OPT_FLAG(0, "replace", T, create.replace, "Remove the pod that has the name now"),
    OPT_STRS('l', "label", T, create.label, "KEY=VALUE", "A label"),
    OPT_STRS(0, "label-file", T, create.label_file, "FILE", "Labels, one a line"),
    OPT_STR(0, "pod-id-file", T, pod.id_file, "FILE", "Write its ID to a new file"),
    OPT_STR(0, "share", T, pod.share, "LIST",
            "What its containers share: of ipc, net, uts, pid (default ipc,net,uts); +pid adds; none"),
    OPT_SWITCH(0, "infra", T, pod.infra, "Whether a process holds what is shared (default: true)"),
    OPT_STR(0, "infra-name", T, pod.infra_name, "NAME", "That one's name (default: ID-infra)"),
    OPT_STR(0, "infra-conmon-pidfile", T, create.conmon_pidfile, "FILE", "Write the number of its monitor"),
    OPT_STR(0, "exit-policy", T, pod.exit_policy, "POLICY",
            "When its last container ends: continue (default), or stop the pod", .words = words_exit),
    OPT_STR(0, "restart", T, create.restart, "POLICY", "Of each container that has no policy of its own"),
    OPT_GROUP("Network and namespaces"),
    OPT_STRS(0, "network", T, create.network, "NETWORK[:KEY=VALUE,...]", "As for `husk run`: of all its containers"),
    OPT_STRS(0, "net", T, create.net, "NETWORK", "The same as --network"),
    OPT_STRS(0, "network-alias", T, create.network_alias, "NAME", "Another name of it on its networks"),
    OPT_STR(0, "ip", T, create.ip, "IP", "Its IPv4 address on its first network"),
    OPT_STR(0, "ip6", T, create.ip6, "IP", "Its IPv6 address there"),
    OPT_STR(0, "mac-address", T, create.mac_address, "MAC", "Its hardware address there"),
    OPT_STRS('p', "publish", T, create.publish, "[IP:][HOST:]CONTAINER[/PROTO]",
             "A port of the host that leads to one of the pod"),
    OPT_STR(0, "hostname", T, create.hostname, "NAME", "Its host name (default: the pod's)"),
    OPT_STRS(0, "add-host", T, create.add_host, "NAME:IP", "A line of /etc/hosts"),
    OPT_STR(0, "hosts-file", T, create.hosts_file, "FILE|none", "What their /etc/hosts begins with"),
    OPT_FLAG(0, "no-hosts", T, create.no_hosts, "The /etc/hosts of each container is its image's own"),
    OPT_FLAG(0, "no-hostname", T, create.no_hostname, "The /etc/hostname of each container is its image's own"),
    OPT_STRS(0, "dns", T, create.dns, "IP", "A name server, instead of the host's"),
    OPT_STRS(0, "dns-search", T, create.dns_search, "DOMAIN", "A domain to search; '.' for none"),
    OPT_STRS(0, "dns-option", T, create.dns_option, "OPTION", "An option of resolv.conf"),
    OPT_STR(0, "pid", T, create.pid, "MODE", "private (default) or host; for --share pid"),
    OPT_STR(0, "uts", T, create.uts, "MODE", "private (default) or host"),
    OPT_STR(0, "userns", T, create.userns, "MODE", "As for `husk run`"),
    OPT_STRS(0, "uidmap", T, create.uidmap, "[+ug]INSIDE:FROM[:COUNT]", "Users of its containers"),
    OPT_STRS(0, "gidmap", T, create.gidmap, "[+ug]INSIDE:FROM[:COUNT]", "Groups of its containers"),
    OPT_STR(0, "subuidname", T, create.subuidname, "NAME", "The ids of this name in /etc/subuid (root)"),
    OPT_STR(0, "subgidname", T, create.subgidname, "NAME", "The ids of this name in /etc/subgid (root)"),
    OPT_STRS(0, "sysctl", T, create.sysctl, "KEY=VALUE", "A kernel setting of what is shared"),
    OPT_BYTES(0, "shm-size", T, create.shm_size, "BYTES", "Size of the shared /dev/shm (default 64m)"),
    OPT_GROUP("Of every container"),
    OPT_STRS('v', "volume", T, create.volume, "[SOURCE:]TARGET[:OPTIONS]", "A volume or a directory of the host"),
    OPT_STRS(0, "volumes-from", T, create.volumes_from, "CONTAINER[:ro]", "The volumes of another container"),
    OPT_STRS(0, "device", T, create.device, "HOST[:PATH][:rwm]", "A device of the host"),
    OPT_STRS(0, "security-opt", T, create.security_opt, "OPTION", "As for `husk run`"),
    OPT_GROUP("Limits of all together"),
    POD_LIMIT_OPTIONS(T),
    OPT_SWITCH(0, "share-parent", T, pod.share_parent, "Whether they have a control group together (default: true)"),
    OPT_GROUP("Refused"),
    OPT_STR(0, "infra-image", T, infra_image, "IMAGE", "Refused: what holds the namespaces has no image"),
    OPT_STR(0, "infra-command", T, infra_command, "COMMAND", "Refused: what holds the namespaces is husk's own"),
    OPT_STR(0, "gpus", T, gpus, "REQUEST", "Refused: see --device"),
    OPT_STR(0, "shm-size-systemd", T, shm_size_systemd, "BYTES", "Refused: it is for containers"),
    OPT_END,
};
#undef T

static fallible check_refused(const struct pod_create_opts *o)
{
    const struct {
        const char *value, *why;
    } refused[] = {
        { o->infra_image, "--infra-image: what holds a pod's namespaces is husk-init, which needs no image: leave it "
                          "out" },
        { o->infra_command, "--infra-command: what holds a pod's namespaces only holds them: run a program as a "
                            "container of the pod, with --init-ctr when it is to end before the others start" },
        { o->gpus, "--gpus: name the devices with --device, such as --device /dev/dri" },
        { o->shm_size_systemd, "--shm-size-systemd: no systemd runs in what holds a pod's namespaces: give it to "
                               "`husk create --pod`" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (refused[i].value)
            return err_new(ERR_UNSUPPORTED, "%s", refused[i].why);
    return NULL;
}

static fallible create_run(const void *opts_, struct args args)
{
    const struct pod_create_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(pod) struct pod *p = NULL;
    struct create_options create = o->create;
    TRY(check_refused(o));
    if (args.n && create.name)
        return err_new(ERR_INVALID, "the pod's name twice: '%s' and --name '%s'", args.v[0], create.name);
    if (args.n)
        create.name = args.v[0];
    TRY(engine_open(&engine));
    TRY(pod_create(engine, &o->pod, &create, &p));
    printf("%s\n", p->row.id);
    return NULL;
}

const struct command cmd_pod_create = {
    .name = "create",
    .args = "[NAME]",
    .summary = "Make a pod",
    .opts = pod_create_options,
    .opts_size = sizeof(struct pod_create_opts),
    .max_args = 1,
    .fail_exit = 125,
    .run = create_run,
};
