/*
 * create_options.h: docker's options for a new container, as rows: `husk run` and `husk create` have the same.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_CREATE_OPTIONS_H
#define HUSK_CLI_CREATE_OPTIONS_H

#include "base/opt.h"
#include "engine/options.h"

static const char *const words_pull[] = { "always", "missing", "never", "newer", NULL };
static const char *const words_unhealthy[] = { "none", "restart", "stop", "kill", NULL };

/* T is a struct whose member `create` is a struct create_options. */
#define CREATE_OPTIONS(T)                                                                                              \
    OPT_GROUP("The container"), OPT_STR(0, "name", T, create.name, "NAME", "Its name (default: two random words)"),    \
        OPT_FLAG(0, "rm", T, create.rm, "Remove it, and its anonymous volumes, when it ends"),                         \
        OPT_STR(0, "cidfile", T, create.cidfile, "FILE", "Write its ID to a new file"),                                \
        OPT_STR(0, "pull", T, create.pull, "POLICY",                                                                   \
                "Pull the image: always, missing (default), never or newer: as always, but what is here does without " \
                "a registry",                                                                                          \
                .words = words_pull),                                                                                  \
        OPT_FLAG('q', "quiet", T, create.quiet, "No progress of a pull"),                                              \
        OPT_STR(0, "platform", T, create.platform, "OS/ARCH", "The image's platform (default: this machine's)"),       \
        OPT_STR(0, "signature-policy", T, create.policy, "FILE", "Ask this signature policy instead of policy.json"),  \
        OPT_SWITCH(0, "disable-content-trust", T, create.disable_content_trust,                                        \
                   "Always true: there is no Notary; signatures are asked for by policy.json"),                        \
        OPT_STR(                                                                                                       \
            0, "rootfs", T, create.rootfs, "DIR[:O]",                                                                  \
            "No image: a directory is the root, used in place; with :O what is written goes into a layer over it"),    \
        OPT_STRS('l', "label", T, create.label, "KEY=VALUE", "A label"),                                               \
        OPT_STRS(0, "label-file", T, create.label_file, "FILE", "Labels, one a line"),                                 \
        OPT_STRS(0, "annotation", T, create.annotation, "KEY=VALUE", "An annotation of the OCI document"),             \
        OPT_STR(0, "log-driver", T, create.log_driver, "NAME",                                                         \
                "Where its output is kept: json-file (default; local and k8s-file are the same), journald (and the "   \
                "file), passthrough (nowhere: our streams are its own), none"),                                        \
        OPT_STRS(0, "log-opt", T, create.log_opt, "KEY=VALUE",                                                         \
                 "max-size (default 16m), max-file (3), max-age (90d), compress, tag, labels, env, labels-regex, "     \
                 "env-regex, mode, max-buffer-size"),                                                                  \
        OPT_GROUP("The program"), OPT_FLAG('i', "interactive", T, create.interactive, "Keep its standard input open"), \
        OPT_FLAG('t', "tty", T, create.tty, "Give it a terminal"),                                                     \
        OPT_STRS('e', "env", T, create.env, "KEY[=VALUE]", "An environment variable; without a value, our own"),       \
        OPT_STRS(0, "env-file", T, create.env_file, "FILE", "Environment variables, one a line"),                      \
        OPT_STR('w', "workdir", T, create.workdir, "DIR", "Its working directory, made when missing"),                 \
        OPT_STR('u', "user", T, create.user, "USER[:GROUP]", "Names of the container's, or numbers"),                  \
        OPT_STRS(0, "group-add", T, create.group_add, "GROUP", "One more group; keep-groups: our own stay, alone"),    \
        OPT_STR(0, "entrypoint", T, create.entrypoint, "PROGRAM", "Instead of the image's; \"\" for none"),            \
        OPT_FLAG(0, "init", T, create.init, "A small PID 1 that forwards signals and reaps"),                          \
        OPT_STR(0, "stop-signal", T, create.stop_signal, "SIGNAL", "What `stop` sends first (default TERM)"),          \
        OPT_I64(0, "stop-timeout", T, create.stop_timeout, "SECONDS",                                                  \
                "Until `stop` kills it (default 10; -1: never)"),                                                      \
        OPT_STR(0, "restart", T, create.restart, "POLICY",                                                             \
                "When it ends, start it again: no (default), on-failure[:N], always, unless-stopped"),                 \
        OPT_STR(0, "health-cmd", T, create.health.cmd, "COMMAND",                                                      \
                "A shell's command, or a JSON list, that tells whether it is well; 'none' for none"),                  \
        OPT_STR(0, "health-interval", T, create.health.interval, "DURATION",                                           \
                "Time between checks (default 30s; 'disable': only by hand)"),                                         \
        OPT_DURATION(0, "health-timeout", T, create.health.timeout, "DURATION", "A check's time (default 30s)"),       \
        OPT_I64(0, "health-retries", T, create.health.retries, "N", "Failures until it is unhealthy (default 3)"),     \
        OPT_DURATION(0, "health-start-period", T, create.health.start_period, "DURATION",                              \
                     "Time after the start in which failures do not count (default 0s)"),                              \
        OPT_DURATION(0, "health-start-interval", T, create.health.start_interval, "DURATION",                          \
                     "Time between checks in that period (default 5s)"),                                               \
        OPT_STR(0, "health-startup-cmd", T, create.health.startup_cmd, "COMMAND",                                      \
                "A check that is asked instead until it has succeeded; 'none' for none"),                              \
        OPT_STR(0, "health-startup-interval", T, create.health.startup_interval, "DURATION",                           \
                "Time between its checks (default 30s; 'disable': only by hand)"),                                     \
        OPT_DURATION(0, "health-startup-timeout", T, create.health.startup_timeout, "DURATION",                        \
                     "A check's time (default 30s)"),                                                                  \
        OPT_I64(0, "health-startup-retries", T, create.health.startup_retries, "N",                                    \
                "Failures in a row that restart the container (default 0: never)"),                                    \
        OPT_I64(0, "health-startup-success", T, create.health.startup_success, "N",                                    \
                "Successes in a row that end it (default 0: one)"),                                                    \
        OPT_I64(0, "health-max-log-count", T, create.health.log_count, "N",                                            \
                "Answers that are kept (default 5; 0: 1000)"),                                                         \
        OPT_I64(0, "health-max-log-size", T, create.health.log_size, "BYTES",                                          \
                "What is kept of each (default 4096; 0: 1 MiB)"),                                                      \
        OPT_STR(0, "health-log-destination", T, create.health.log_destination, "WHERE",                                \
                "Where answers go besides: local (nowhere), a directory, or events_logger"),                           \
        OPT_FLAG(0, "no-healthcheck", T, create.health.none, "No health check, also when the image has one"),          \
        OPT_STR(0, "on-unhealthy", T, create.health.on_unhealthy, "ACTION",                                            \
                "When it becomes unhealthy: none (default), restart, stop or kill it", .words = words_unhealthy),      \
        OPT_STR(0, "health-on-failure", T, create.health.on_failure, "ACTION", "The same as --on-unhealthy",           \
                .words = words_unhealthy),                                                                             \
        OPT_I64(0, "timeout", T, create.timeout, "SECONDS", "Kill it when it has run so long (default 0: never)"),     \
        OPT_GROUP("Files"),                                                                                            \
        OPT_STRS('v', "volume", T, create.volume, "[SOURCE:]TARGET[:OPTIONS]",                                         \
                 "A volume by name, or a directory of the host by path; options: ro, nocopy, [r]shared ..."),          \
        OPT_STRS(0, "secret", T, create.secret, "NAME[,KEY=VALUE...]",                                                 \
                 "A secret: a file in /run/secrets, or type=env; target=, uid=, gid=, mode="),                         \
        OPT_STRS(0, "volumes-from", T, create.volumes_from, "CONTAINER[:ro]",                                          \
                 "The same volumes and binds as another container"),                                                   \
        OPT_STR(0, "volume-driver", T, create.volume_driver, "NAME", "Who makes its volumes: local"),                  \
        OPT_STRS(0, "mount", T, create.mount, "KEY=VALUE,...",                                                         \
                 "The same in full: type=bind|volume|tmpfs,source=,target=,readonly"),                                 \
        OPT_STRS(0, "tmpfs", T, create.tmpfs, "TARGET[:OPTIONS]", "Files in memory: size=, mode=, exec ..."),          \
        OPT_FLAG(0, "read-only", T, create.read_only, "Its root cannot be written"),                                   \
        OPT_BYTES(0, "shm-size", T, create.shm_size, "BYTES", "Size of /dev/shm (default 64m)"),                       \
        OPT_STRS(0, "device", T, create.device, "HOST[:PATH][:rwm]", "A device of the host"),                          \
        OPT_STRS(0, "device-cgroup-rule", T, create.device_rule, "RULE", "Allow devices: 'c 1:3 rwm'"),                \
        OPT_GROUP("Network and namespaces"),                                                                           \
        OPT_STRS(                                                                                                      \
            0, "network", T, create.network, "NETWORK[:KEY=VALUE,...]",                                                \
            "A network's name, once or several times, with ip=, ip6=, mac=, alias=, interface=, gw-priority=; bridge " \
            "(default), host, none (an ordinary user's default without pasta), pasta[:OPTION,...], "                   \
            "container:NAME, ns:PATH, cni:NAME (/etc/cni/net.d)"),                                                     \
        OPT_STRS(0, "net", T, create.net, "NETWORK", "The same as --network"),                                         \
        OPT_STRS(0, "network-alias", T, create.network_alias, "NAME", "Another name of it on its networks"),           \
        OPT_STRS(0, "link", T, create.link, "CONTAINER[:ALIAS]",                                                       \
                 "What it calls a neighbour; on the default network also environment variables that say where it is"), \
        OPT_STRS(0, "link-local-ip", T, create.link_local_ip, "IP",                                                    \
                 "A further address on its first network: of 169.254.0.0/16 or fe80::/10"),                            \
        OPT_STR(0, "ip", T, create.ip, "IP", "Its IPv4 address on its first network"),                                 \
        OPT_STR(0, "ip6", T, create.ip6, "IP", "Its IPv6 address there"),                                              \
        OPT_STR(0, "mac-address", T, create.mac_address, "MAC", "Its hardware address there"),                         \
        OPT_STRS('p', "publish", T, create.publish, "[IP:][HOST:]CONTAINER[/PROTO]",                                   \
                 "A port of the host that leads to one of the container; ranges: 8000-8009:80-89; no HOST: any"),      \
        OPT_STRS(0, "egress", T, create.egress, "allow=HOST[:PORT],...|deny",                                          \
                 "Where it may go beyond its networks: addresses, networks, names, '*.NAME'; nowhere"),                \
        OPT_STR(0, "net-rate", T, create.net_rate, "RATE",                                                             \
                "What its interfaces pass at most: 10mbit, or in=10mbit,out=500kbit"),                                 \
        OPT_FLAG('P', "publish-all", T, create.publish_all, "Every exposed port, each at any free one of the host's"), \
        OPT_STRS(0, "expose", T, create.expose, "PORT[/PROTO]", "A port for --publish-all, beside the image's"),       \
        OPT_STR('h', "hostname", T, create.hostname, "NAME",                                                           \
                "Its host name (default: its ID, or the name of whose network it has)"),                               \
        OPT_STR(0, "domainname", T, create.domainname, "NAME", "Its NIS domain name"),                                 \
        OPT_STRS(0, "add-host", T, create.add_host, "NAME:IP",                                                         \
                 "A line of /etc/hosts; host-gateway is an address of the host"),                                      \
        OPT_STRS(0, "dns", T, create.dns, "IP",                                                                        \
                 "A name server, instead of the host's; none: /etc/resolv.conf is the image's"),                       \
        OPT_STRS(0, "dns-search", T, create.dns_search, "DOMAIN", "A domain to search; '.' for none"),                 \
        OPT_STRS(0, "dns-option", T, create.dns_option, "OPTION", "An option of resolv.conf"),                         \
        OPT_STRS(0, "dns-opt", T, create.dns_option, "OPTION", "The same as --dns-option"),                            \
        OPT_STR(0, "pid", T, create.pid, "MODE", "private (default), host, container:NAME"),                           \
        OPT_STR(0, "ipc", T, create.ipc, "MODE",                                                                       \
                "private (default), host, none (no /dev/shm), container:NAME (its /dev/shm too)"),                     \
        OPT_STR(0, "uts", T, create.uts, "MODE", "private (default), host, container:NAME"),                           \
        OPT_STR(0, "cgroupns", T, create.cgroupns, "MODE", "private (default), host"),                                 \
        OPT_STR(0, "userns", T, create.userns, "MODE",                                                                 \
                "host (root's default), auto[:size=,uidmapping=,gidmapping=], keep-id[:uid=,gid=], nomap, private, "   \
                "container:NAME, ns:PATH"),                                                                            \
        OPT_STRS(0, "sysctl", T, create.sysctl, "KEY=VALUE", "A kernel setting of its namespaces"),                    \
        OPT_GROUP("Rights"),                                                                                           \
        OPT_FLAG(0, "privileged", T, create.privileged,                                                                \
                 "Every capability and device, nothing hidden: root inside is root"),                                  \
        OPT_STRS(0, "cap-add", T, create.cap_add, "CAPABILITY", "One more capability, or ALL"),                        \
        OPT_STRS(0, "cap-drop", T, create.cap_drop, "CAPABILITY", "One capability less, or ALL"),                      \
        OPT_STR(0, "isolation", T, create.isolation, "KIND",                                                           \
                "What stands between the program and the host: container (default), or jail: its own root, a mount "   \
                "namespace and Landlock"),                                                                             \
        OPT_STRS(0, "security-opt", T, create.security_opt, "OPTION",                                                  \
                 "seccomp=FILE|unconfined, no-new-privileges, landlock=RULES, apparmor=PROFILE, mask=PATH[:PATH...] "  \
                 "(hidden), unmask=ALL|PATH[:PATH...], systempaths=unconfined (the same as ALL), proc-opts=OPTIONS"),  \
        OPT_STRS(0, "ulimit", T, create.ulimit, "NAME=SOFT[:HARD]", "A limit of the process: nofile=1024:2048"),       \
        OPT_I64(0, "oom-score-adj", T, create.oom_score_adj, "N",                                                      \
                "Who is killed first without memory: -1000 to 1000"),                                                  \
        OPT_GROUP("Limits"), OPT_BYTES('m', "memory", T, create.memory, "BYTES", "Memory"),                            \
        OPT_BYTES(0, "memory-swap", T, create.memory_swap, "BYTES",                                                    \
                  "Memory and swap together; -1: swap without limit"),                                                 \
        OPT_BYTES(0, "memory-reservation", T, create.memory_reservation, "BYTES",                                      \
                  "Memory that it gets under pressure"),                                                               \
        OPT_I64(0, "memory-swappiness", T, create.memory_swappiness, "N", "How readily it swaps: 0 to 100"),           \
        OPT_STR(0, "cpus", T, create.cpus, "N", "Processors, such as 1.5"),                                            \
        OPT_I64('c', "cpu-shares", T, create.cpu_shares, "N", "Its weight among others (docker's 1024 is 1)"),         \
        OPT_I64(0, "cpu-period", T, create.cpu_period, "MICROSECONDS", "Period of the CPU quota"),                     \
        OPT_I64(0, "cpu-quota", T, create.cpu_quota, "MICROSECONDS", "Time it may run in each period"),                \
        OPT_STR(0, "cpuset-cpus", T, create.cpuset_cpus, "LIST", "The processors it may run on: 0-3,7"),               \
        OPT_STR(0, "cpuset-mems", T, create.cpuset_mems, "LIST", "The memory nodes it may use"),                       \
        OPT_I64(0, "pids-limit", T, create.pids_limit, "N", "Processes (default 2048; -1: no limit)"),                 \
        OPT_STR(0, "cgroup-parent", T, create.cgroup_parent, "PATH",                                                   \
                "The control group above its own (default /husk), or the slice"),                                      \
        OPT_STR(0, "cgroup-manager", T, create.cgroup_manager, "NAME",                                                 \
                "Who makes its control group: cgroupfs (default) or systemd",                                          \
                .words = (const char *const[]){ "cgroupfs", "systemd", NULL })

#endif
