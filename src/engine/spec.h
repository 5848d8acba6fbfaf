/*
 * spec.h: a container's configuration as an OCI runtime document, with docker's defaults: capabilities, mounts, masked
 * paths, devices, limits.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_SPEC_H
#define HUSK_ENGINE_SPEC_H

#include "engine/config.h"
#include "os/ids.h"
#include "rootfs/source.h"
#include "spec/oci_runtime.h"

/* What the configuration alone does not say. */
struct spec_input {
    const char *id;
    const struct container_config *config;
    const struct rootfs_source *root;
    const struct strv *image_lowers;                  /* parallel to config->mounts: of those that are images */
    const char *dir;                                  /* where hosts, hostname and resolv.conf are */
    const char *volumes;                              /* <root>/volumes */
    const char *folder;                               /* the container's own */
    const struct id_map *uids, *gids;                 /* of its own user namespace; NULL: it has none */
    pid_t join_network, join_pid, join_ipc, join_uts; /* of "container:ID"; 0: none */
    const char *run;                                  /* <run>: where the generated files of a joined container are */
    bool join_user;                                   /* into the user namespace of the joined container */
    bool limits;                                      /* this host has cgroups for us: the default limits can be set */
};
fallible spec_make(const struct spec_input *in, struct oci_spec **ret);

/* What is hidden from it and what it can only read, by default and by --security-opt mask= and unmask=, which work as
 * podman's: what is shown is neither hidden nor read-only, and --privileged hides what was named alone. Added to both.
 */
void spec_hidden_paths(const struct container_config *c, struct strv *masked, struct strv *readonly);
/* The name that the container sees as its own: its --hostname, the host's with the host's network, else its ID; NULL in
 * another's UTS namespace, the host's or a container's. Caller frees. Source: uname(2). */
char *spec_hostname(const char *id, const struct container_config *c);
/* Its control group: "husk/ID" (see cgroup_host_base()) or below --cgroup-parent. Caller frees. */
char *spec_cgroup_path(const char *id, const struct container_config *c);
/* Whether the user asked for a limit that only a cgroup can keep. */
bool spec_wants_cgroup(const struct container_config *c);

/* Where the layer of the container's n-th mount is (O): "FOLDER/overlays/N". Caller frees. */
char *overlay_dir(const char *folder, size_t n);
/* Makes those layers, empty, for a container that has no row: folder is its own and new. We are root of the namespace
 * that it will be in. INVALID: what is to be below one is no directory. */
fallible overlays_make(const struct container_config *config, const char *folder);

/* Whether its /etc/passwd and /etc/group are written by husk. */
bool container_has_accounts(const struct container_config *c);

/* The process of an exec: the container's own with another command. */
struct exec_options {
    struct strv env, env_file;
    const char *user, *workdir, *detach_keys;
    bool tty, interactive, detach, privileged;
    struct opt_i64 preserve_fds; /* so many of ours after 0, 1 and 2 are the program's too */
};
fallible spec_make_exec(const struct oci_spec *spec, const struct container_config *c, const struct rootfs_source *root,
                        const struct exec_options *o, char *const *args, size_t args_n, struct oci_process **ret);

#endif
