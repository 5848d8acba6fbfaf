/*
 * config.h: what a container is, apart from whether it runs: the user's wishes and the image's defaults, merged and
 * checked when it was created. It is kept as JSON in husk.db, so a start needs neither the image's documents nor the
 * command line again.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CONFIG_H
#define HUSK_ENGINE_CONFIG_H

#include "codec/bind.h"

/* A mount that a user or the image asked for. */
struct container_mount {
    char *type;          /* "bind", "volume", "tmpfs", "image" ... */
    char *source;        /* bind: absolute host path; volume: its name (NULL until made: anonymous); tmpfs: NULL */
    char *target;        /* absolute and clean */
    char *propagation;   /* bind: "rprivate" ...; NULL: the default */
    struct strv options; /* tmpfs: mount options as in fstab; bind, volume: "noexec" and the like */
    bool read_only, non_recursive, nocopy, anonymous, from_image;
    bool make_source;    /* -v makes a missing directory, --mount does not */
    bool below_writable; /* bind: read-only, but not what is mounted below it */
    bool chown;          /* U: it is given to the container's user when the container is made */
    bool idmap;          /* its files are shown with the container's ids */
    bool overlay;        /* O: changes go to a layer of the container's own, which each start begins anew */
    char *upper, *work;  /* O: the layer is here instead, and stays */
    struct strv lowers;  /* O: more directories below the source */
    char *subpath;       /* volume, image: a path inside it */
    struct strv layers;  /* image: diffIDs, bottom first; its source is the name that it had */
    bool writable;       /* rw was said; not kept */
    /* volume: what it is made with when it is not there yet */
    struct strv driver_options;
    struct strmap labels;
    char *device; /* volume: its files are in this directory (o=bind) */
    bool mounted; /* volume: something has to be mounted before it can be used: volume_mount() */
};
/* --secret; engine/secret.h */
struct container_secret {
    char *name, *type; /* "mount", "env" */
    char *target;      /* an absolute path; a variable's name */
    int64_t uid, gid, mode;
};
struct container_device {
    char *host, *path, *access; /* access: of "rwm" */
};
struct container_ulimit {
    char *name;         /* "nofile" */
    int64_t soft, hard; /* -1: unlimited */
};
struct container_resources {
    struct opt_i64 memory, memory_swap, memory_reservation, memory_swappiness; /* bytes; -1: unlimited */
    struct opt_i64 cpu_period, cpu_quota, cpu_shares; /* microseconds, microseconds, docker's weight */
    struct opt_i64 pids_limit;                        /* -1: unlimited; absent: the default */
    char *cpuset_cpus, *cpuset_mems;
    struct strv device_rules; /* "c 1:3 rwm" */
    struct opt_i64 blkio_weight, cpu_rt_period, cpu_rt_runtime;
    struct strv blkio_weight_device, device_read_bps, device_write_bps, device_read_iops,
        device_write_iops; /* "/dev/sda:1mb" */
    struct strmap unified; /* files of cgroup v2 and what is written to them */
    bool oom_kill_disable;
};
struct container_log {
    char *driver; /* "json-file", "journald", "passthrough" or "none" */
    int64_t max_bytes, max_files;
    int64_t max_age_s;              /* 0: no limit */
    char *tag;                      /* a template; NULL: none was asked for */
    struct strv labels, env;        /* whose values each line carries */
    char *labels_regex, *env_regex; /* and of those whose names fit; NULL: none */
    bool compress;                  /* rotated files */
    int64_t buffer; /* mode=non-blocking: how many bytes wait for the journal; 0: the program may wait a second */
};

/* A health check; durations in nanoseconds. */
struct container_health {
    struct strv test;  /* "CMD", PROGRAM, ARGUMENT ... or "CMD-SHELL", COMMAND */
    struct strv shell; /* for CMD-SHELL: the image's; empty: /bin/sh -c */
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns; /* interval 0: only by hand */
    int64_t retries;
    char *on_unhealthy; /* "restart", "stop", "kill"; NULL: only say so */
    /* A check that is asked instead until it has succeeded; podman's "startup". */
    struct strv startup_test;                        /* as test; empty: none */
    int64_t startup_interval_ns, startup_timeout_ns; /* interval 0: only by hand */
    int64_t startup_retries;                         /* so many failures in a row restart the container; 0: never */
    int64_t startup_success;                         /* so many successes in a row end it; 0: one */
    /* The answers that are kept. */
    int64_t log_count, log_size; /* how many, and bytes of each; 0: docker's, -1: as many as health.h lets be */
    char *log_dir;               /* also written to ID-healthcheck.log there; NULL: nowhere else */
    bool log_events;             /* each answer is an event */
};

struct container_config {
    /* the program */
    struct strv entrypoint, cmd, env;
    char *user, *workdir;
    bool tty, stdin_open, init;
    char *stop_signal;
    struct opt_i64 stop_timeout;     /* seconds */
    char *restart;                   /* monitor/restart.h; NULL: no */
    int64_t timeout_s;               /* how long it may run; 0: no limit */
    struct container_health *health; /* NULL: none */
    struct strmap labels, annotations;
    /* the root */
    struct strv layers;  /* diffIDs, bottom first */
    char *storage;       /* "fuse-overlayfs", "vfs"; NULL: the kernel's overlay (engine/storage.h) */
    char *rootfs;        /* --rootfs: a directory used in place */
    bool rootfs_overlay; /* --rootfs DIR:O: what is written goes into the container's own layer */
    bool read_only, auto_remove;
    struct container_mount *mounts;
    struct container_device *devices;
    struct container_ulimit *ulimits;
    struct container_secret *secrets;
    size_t secrets_n;
    size_t mounts_n, devices_n, ulimits_n;
    int64_t shm_bytes;
    char *platform;
    /* the world: "private", "host", "container:ID" */
    char *network;       /* "none", "host", "container:ID", "ns:PATH", or networks: see engine/db_network.h */
    struct strv exposed; /* "80/tcp" ... */
    struct strv links;   /* "ID:ALIAS": engine/link.h */
    struct strv egress;  /* "deny", "allow=HOST[:PORT],...": network/egress.h; none: it may go anywhere */
    char *net_rate;      /* of each of its interfaces: network/rate.h; NULL: no limit */
    bool publish_all;
    char *pid, *ipc, *uts, *userns, *cgroupns;
    int64_t userns_first;                  /* root's user namespaces: the host's id of the container's 0; 0: none */
    int64_t userns_first_gid, userns_size; /* 0: as userns_first; USERNS_IDS */
    char *hostname, *domainname;
    struct strv add_hosts, dns, dns_search, dns_options, group_add;
    char *hosts_file; /* what /etc/hosts begins with: an absolute path of the host, "image" or "none" */
    bool no_hosts, no_hostname, no_resolv; /* /etc/hosts, /etc/hostname, /etc/resolv.conf are the image's own */
    struct strmap sysctl;
    /* rights and limits */
    bool privileged, no_new_privileges, seccomp_unconfined, unmask;
    char *seccomp;  /* the profile's text; NULL: the default */
    char *apparmor; /* a profile that the host has loaded; NULL: none */
    struct strv mask,
        unmask_paths;   /* hidden besides; of what is hidden or read-only by default, what is not: fnmatch(3) */
    char *proc_options; /* of its /proc: "hidepid=2"; NULL: none */
    struct strv cap_add, cap_drop;
    struct container_resources *resources;
    char *cgroup_parent;  /* with systemd: the slice */
    char *cgroup_manager; /* "systemd": the group is a scope; NULL: husk makes it */
    struct opt_i64 oom_score_adj;
    struct container_log *log;
    char *isolation;
    /* what few have */
    struct opt_i64 umask;
    char *personality, *rdt_class, *pidfile, *monitor_pidfile, *passwd_entry, *group_entry;
    struct strv chrootdirs, requires, hostusers;
    struct strv uid_map, gid_map; /* "INSIDE:OUTSIDE:COUNT", outside as the host counts; empty: the default */
    int64_t storage_bytes, storage_project;
    bool no_cgroup;
    char *systemd;             /* "always": its first program is systemd; NULL: it is not */
    int64_t systemd_shm_bytes; /* of the tmpfs that systemd gets; 0: the kernel's default */
    struct strv init_chain;    /* programs that each run the next, the container's own last */
    char *init_ctr;   /* of a pod: "always", "once": it runs to its end before the others start; NULL: it is no such */
    bool infra;       /* it holds its pod's namespaces */
    bool pod_ends;    /* when the last such container of its pod ends, the pod is stopped */
    char *pod_cgroup; /* its group is in that of its pod: "husk/pod-ID"; NULL: as any other */
    char *signature_policy; /* --signature-policy: the file that its starts ask; NULL: policy.json */
};
extern const struct bind_type container_config_type, container_mount_type, container_resources_type;

void container_health_free(struct container_health *h);
void container_config_free(struct container_config *c);
OWN_TYPE(container_config, struct container_config *, container_config_free)
struct container_mount *container_config_add_mount(struct container_config *c);

#endif
