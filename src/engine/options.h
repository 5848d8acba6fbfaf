/*
 * options.h: what a user may say about a new container, as docker's words; and how that and the image become a
 * container_config. Every face fills this struct, none interprets it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_OPTIONS_H
#define HUSK_ENGINE_OPTIONS_H

#include "engine/config.h"
#include "image/layout.h"

/* A health check; NULL and unset: the image's, and docker's defaults. */
struct health_options {
    const char *cmd, *interval, *on_unhealthy, *on_failure;
    const char *startup_cmd, *startup_interval, *log_destination;
    struct opt_u64 timeout, start_period, start_interval, startup_timeout; /* nanoseconds */
    struct opt_i64 retries, startup_retries, startup_success, log_count, log_size;
    bool none;
};

/* NULL, empty or unset: the default. Strings are borrowed. The option table is in cli/create_options.h. */
struct create_options {
    const char *name, *platform, *pull, *policy, *cidfile, *rootfs;
    bool quiet, rm;
    struct opt_bool disable_content_trust;
    /* the program */
    bool tty, interactive, init, no_entrypoint;
    const char *entrypoint, *user, *workdir, *stop_signal;
    struct opt_i64 stop_timeout, timeout;
    const char *restart;
    struct health_options health;
    struct strv env, env_file, label, label_file, annotation;
    /* the root */
    struct strv secret;
    struct strv volume, volumes_from, mount, tmpfs, device, device_rule;
    const char *volume_driver;
    bool read_only;
    struct opt_i64 shm_size;
    /* the world */
    struct strv network, net, network_alias, publish, expose;
    struct strv egress, link, link_local_ip;
    const char *ip, *ip6, *mac_address, *net_rate;
    bool publish_all;
    const char *pid, *ipc, *uts, *userns, *cgroupns, *hostname, *domainname;
    struct strv add_host, dns, dns_search, dns_option, group_add, sysctl;
    /* rights */
    bool privileged;
    struct strv cap_add, cap_drop, security_opt, ulimit;
    struct opt_i64 oom_score_adj;
    /* limits */
    struct opt_i64 memory, memory_swap, memory_reservation, memory_swappiness, cpu_period, cpu_quota, cpu_shares,
        pids_limit;
    const char *cpus, *cpuset_cpus, *cpuset_mems, *cgroup_parent, *cgroup_manager;
    /* the log */
    const char *log_driver;
    struct strv log_opt;
    const char *isolation;
    /* few have these: engine/options_more.c */
    struct strv env_merge, unsetenv, blkio_weight_device, device_read_bps, device_write_bps, device_read_iops,
        device_write_iops, cgroup_conf, storage_opt, chrootdirs, requires, hostuser, uidmap, gidmap;
    const char *umask, *tz, *personality, *rdt_class, *init_path, *image_volume, *cgroups, *pidfile, *conmon_pidfile,
        *passwd_entry, *group_entry, *arch, *os, *variant, *authfile, *cert_dir, *creds, *tls_verify, *retry,
        *retry_delay, *subuidname, *subgidname;
    const char *systemd, *init_chain;
    const char *pod, *pod_id_file, *init_ctr;
    const struct pod *member_of;      /* engine/pod.h */
    const struct pod *infra_of;       /* this is the infra of a new pod, whose row is made with its own */
    const struct container *clone_of; /* engine/clone.h */
    const char *with_id; /* of an archive's: the ID that it had, with the networks and ports that are said; else NULL */
    const struct strmap
        *clone_ids;       /* containers and anonymous volumes of a pod -> those that were made in their place */
    const char *debug_of; /* husk debug: the ID of a stopped container, whose root is shown at /container */
    struct opt_i64 shm_size_systemd;
    struct opt_i64 blkio_weight, cpu_rt_period, cpu_rt_runtime;
    struct opt_bool read_only_tmpfs, passwd;
    const char *hosts_file; /* of the host; "image", "none" */
    bool no_hosts, no_hostname;
    bool nested, env_host, http_proxy, unsetenv_all, oom_kill_disable, replace;
    struct {
        const char *gpus, *kernel_memory, *runtime, *cpu_count, *cpu_percent, *io_maxbandwidth, *io_maxiops,
            *decryption_key, *sdnotify, *seccomp_policy;
        bool use_api_socket;
    } refused;
};

/* Bytes of a log before it is rotated, how many files are kept, and how long, unless --log-opt says otherwise. */
enum { LOG_DEFAULT_MAX_BYTES = 16 << 20, LOG_DEFAULT_MAX_FILES = 3, LOG_DEFAULT_MAX_AGE_S = 90 * 86400 };
/* --pids-limit's default; less where the host has less. */
enum { PIDS_DEFAULT = 2048 };
/* --shm-size's default, as docker's. */
enum { SHM_DEFAULT_BYTES = 64 << 20 };

/**
 * options_merge - the user's words and the image's defaults as one configuration.
 * @image: NULL with --rootfs.
 * @args:  the command after the image's name.
 * Errors: INVALID, with the option's name in front.
 */
fallible options_merge(const struct create_options *o, const struct image *image, char *const *args, size_t args_n,
                       struct container_config **ret);

/* Its log. options_log.c */
fallible options_merge_log(const struct create_options *o, struct container_config *c);
/**
 * options_merge_health - the health check of a new container: NULL when there is none. options_health.c
 * @before: of a container that is changed: what is kept of its startup check and log where nothing else is said.
 */
fallible options_merge_health(const struct health_options *o, const struct oci_image_run *image,
                              const struct container_health *before, struct container_health **ret);
bool options_says_health(const struct health_options *o);
/* A policy's word into a configuration; NULL there is "no". */
fallible options_merge_restart(const char *policy, char **ret);
/* Only the limits, into a configuration that has none: c->resources is made. */
fallible options_merge_limits(const struct create_options *o, struct container_config *c);

#endif
