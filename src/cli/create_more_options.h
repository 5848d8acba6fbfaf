/*
 * create_more_options.h: those of docker's and podman's options for a new container that few have, and those that husk
 * refuses with the reason.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_CREATE_MORE_OPTIONS_H
#define HUSK_CLI_CREATE_MORE_OPTIONS_H

#include "cli/create_options.h"

static const char *const words_init_ctr[] = { "always", "once", NULL };

/* After CREATE_OPTIONS(T). */
#define CREATE_MORE_OPTIONS(T)                                                                                         \
    OPT_GROUP("Users"),                                                                                                \
        OPT_STRS(0, "uidmap", T, create.uidmap, "[+ug]INSIDE:FROM[:COUNT]",                                            \
                 "Users of the container; FROM counts what the caller has, @N the host's"),                            \
        OPT_STRS(0, "gidmap", T, create.gidmap, "[+ug]INSIDE:FROM[:COUNT]", "Groups of the container"),                \
        OPT_STR(0, "subuidname", T, create.subuidname, "NAME", "The ids of this name in /etc/subuid (root)"),          \
        OPT_STR(0, "subgidname", T, create.subgidname, "NAME", "The ids of this name in /etc/subgid (root)"),          \
        OPT_SWITCH(0, "passwd", T, create.passwd, "Whether lines may be added to /etc/passwd and /etc/group"),         \
        OPT_STR(0, "passwd-entry", T, create.passwd_entry, "LINE",                                                     \
                "A line of /etc/passwd; $USERNAME, $UID, $GID, $HOME are filled in"),                                  \
        OPT_STR(0, "group-entry", T, create.group_entry, "LINE", "A line of /etc/group"),                              \
        OPT_STRS(0, "hostuser", T, create.hostuser, "NAME", "The host's line of a user in /etc/passwd"),               \
        OPT_GROUP("Seldom"), OPT_FLAG(0, "replace", T, create.replace, "Remove the container that has the name now"),  \
        OPT_STR(0, "pod", T, create.pod, "POD", "It is in this pod; new:NAME makes one"),                              \
        OPT_STR(0, "pod-id-file", T, create.pod_id_file, "FILE", "It is in the pod whose ID is in a file"),            \
        OPT_STR(0, "init-ctr", T, create.init_ctr, "WHEN",                                                             \
                "Of a pod: it runs to its end before the others start: always, or once", .words = words_init_ctr),     \
        OPT_FLAG(0, "no-hosts", T, create.no_hosts, "Its /etc/hosts is the image's own"),                              \
        OPT_FLAG(0, "no-hostname", T, create.no_hostname, "Its /etc/hostname is the image's own"),                     \
        OPT_STR(0, "hosts-file", T, create.hosts_file, "FILE|image|none",                                              \
                "What its /etc/hosts begins with: a file of the host, the image's, or neither's"),                     \
        OPT_STRS(0, "requires", T, create.requires, "CONTAINER", "Started before it"),                                 \
        OPT_STR(0, "arch", T, create.arch, "ARCH", "The image's machine, as in --platform"),                           \
        OPT_STR(0, "os", T, create.os, "OS", "The image's system, as in --platform"),                                  \
        OPT_STR(0, "variant", T, create.variant, "VARIANT", "The image's variant, as in --platform"),                  \
        OPT_STR(0, "authfile", T, create.authfile, "FILE", "Credentials for a pull"),                                  \
        OPT_STR(0, "cert-dir", T, create.cert_dir, "DIR", "Certificates for a pull"),                                  \
        OPT_STR(0, "creds", T, create.creds, "USER:PASSWORD", "Log in with these for a pull"),                         \
        OPT_STR(0, "tls-verify", T, create.tls_verify, "BOOL", "Check the registry's certificate in a pull"),          \
        OPT_STR(0, "retry", T, create.retry, "N", "Try each request of a pull again so often"),                        \
        OPT_STR(0, "retry-delay", T, create.retry_delay, "TIME",                                                       \
                "Wait so long before the first of them, doubled each time"),                                           \
        OPT_STRS(0, "env-merge", T, create.env_merge, "KEY=TEXT", "With ${NAME} of the image's variables in it"),      \
        OPT_FLAG(0, "env-host", T, create.env_host, "All of our own variables"),                                       \
        OPT_FLAG(0, "http-proxy", T, create.http_proxy, "Our http_proxy, https_proxy, ftp_proxy, no_proxy"),           \
        OPT_STRS(0, "unsetenv", T, create.unsetenv, "KEY", "Without this variable of the image's"),                    \
        OPT_FLAG(0, "unsetenv-all", T, create.unsetenv_all, "Without the image's variables and the default PATH"),     \
        OPT_STR(0, "umask", T, create.umask, "MASK", "Its file mode creation mask (default: 0022, ours)"),             \
        OPT_STR(0, "tz", T, create.tz, "ZONE", "Its time zone, such as Europe/Berlin, or local"),                      \
        OPT_STR(0, "personality", T, create.personality, "NAME", "LINUX or LINUX32"),                                  \
        OPT_STR(0, "init-path", T, create.init_path, "FILE", "The host's program that --init uses as PID 1"),          \
        OPT_FLAG(0, "nested", T, create.nested,                                                                        \
                 "Another husk, podman or buildah runs in it: every right in its own user namespace, nothing hidden"), \
        OPT_STR(0, "init-chain", T, create.init_chain, "H1,H2,...",                                                    \
                "Programs of the container's that each run the next, before its own"),                                 \
        OPT_STR(0, "systemd", T, create.systemd, "HOW", "Whether it runs systemd: auto (default), always, false"),     \
        OPT_BYTES(0, "shm-size-systemd", T, create.shm_size_systemd, "BYTES", "Size of each tmpfs that systemd gets"), \
        OPT_STR(0, "image-volume", T, create.image_volume, "HOW", "The image's volumes: anonymous, tmpfs, ignore"),    \
        OPT_SWITCH(0, "read-only-tmpfs", T, create.read_only_tmpfs,                                                    \
                   "With --read-only: a tmpfs on /run, /tmp and /var/tmp"),                                            \
        OPT_STRS(0, "storage-opt", T, create.storage_opt, "size=BYTES",                                                \
                 "A quota of its writable layer, where the file system keeps project quotas"),                         \
        OPT_STRS(0, "chrootdirs", T, create.chrootdirs, "DIR",                                                         \
                 "A root inside, which gets /etc/hosts and the like too"),                                             \
        OPT_STR(0, "pidfile", T, create.pidfile, "FILE", "Write the host's number of its first process"),              \
        OPT_STR(0, "conmon-pidfile", T, create.conmon_pidfile, "FILE", "Write the number of its monitor"),             \
        OPT_STR(0, "cgroups", T, create.cgroups, "HOW", "enabled (default), no-conmon (the same) or disabled"),        \
        OPT_STRS(0, "cgroup-conf", T, create.cgroup_conf, "FILE=TEXT", "Written to a file of its cgroup v2"),          \
        OPT_I64(0, "blkio-weight", T, create.blkio_weight, "N", "Its share of disks: 10 to 1000"),                     \
        OPT_STRS(0, "blkio-weight-device", T, create.blkio_weight_device, "DEVICE:N", "Its share of one disk"),        \
        OPT_STRS(0, "device-read-bps", T, create.device_read_bps, "DEVICE:BYTES", "Bytes read a second"),              \
        OPT_STRS(0, "device-write-bps", T, create.device_write_bps, "DEVICE:BYTES", "Bytes written a second"),         \
        OPT_STRS(0, "device-read-iops", T, create.device_read_iops, "DEVICE:N", "Reads a second"),                     \
        OPT_STRS(0, "device-write-iops", T, create.device_write_iops, "DEVICE:N", "Writes a second"),                  \
        OPT_I64(0, "cpu-rt-period", T, create.cpu_rt_period, "MICROSECONDS", "Period of real-time (cgroup v1)"),       \
        OPT_I64(0, "cpu-rt-runtime", T, create.cpu_rt_runtime, "MICROSECONDS", "Real-time in each (cgroup v1)"),       \
        OPT_FLAG(0, "oom-kill-disable", T, create.oom_kill_disable, "Out of memory it waits (cgroup v1)"),             \
        OPT_STR(0, "rdt-class", T, create.rdt_class, "NAME", "Its class of Intel RDT"), OPT_GROUP("Refused"),          \
        OPT_STR(0, "gpus", T, create.refused.gpus, "REQUEST", "Refused: see --device"),                                \
        OPT_STR(0, "kernel-memory", T, create.refused.kernel_memory, "BYTES", "Refused: see --memory"),                \
        OPT_STR(0, "runtime", T, create.refused.runtime, "NAME", "Refused: husk is its own"),                          \
        OPT_STR(0, "cpu-count", T, create.refused.cpu_count, "N", "Refused: of Windows"),                              \
        OPT_STR(0, "cpu-percent", T, create.refused.cpu_percent, "N", "Refused: of Windows"),                          \
        OPT_STR(0, "io-maxbandwidth", T, create.refused.io_maxbandwidth, "BYTES", "Refused: of Windows"),              \
        OPT_STR(0, "io-maxiops", T, create.refused.io_maxiops, "N", "Refused: of Windows"),                            \
        OPT_STR(0, "decryption-key", T, create.refused.decryption_key, "KEY", "Refused: no encrypted layers"),         \
        OPT_STR(0, "sdnotify", T, create.refused.sdnotify, "HOW", "Refused but for ignore: no notifications"),         \
        OPT_STR(0, "seccomp-policy", T, create.refused.seccomp_policy, "HOW", "Refused but for default"),              \
        OPT_FLAG(0, "use-api-socket", T, create.refused.use_api_socket, "Refused: there is no daemon")

#endif
