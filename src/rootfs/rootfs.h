/*
 * rootfs.h: a directory or layers become a container's root: mounts, /dev, hidden paths, and the change of root.
 *
 * All of it runs in the child, in its own mount namespace, one function a row of the start table; only what an
 * ordinary user or a user namespace could not open is opened outside by rootfs_prepare() and handed in. The new root
 * is placed on a directory of ours (the staging directory) and reached from then on by its descriptor alone.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ROOTFS_ROOTFS_H
#define HUSK_ROOTFS_ROOTFS_H

#include "rootfs/source.h"
#include "spec/oci_runtime.h"

/* One hierarchy as the container shall see it below /sys/fs/cgroup. */
struct rootfs_cgroup {
    const char *name; /* "memory", "cpu,cpuacct", "unified"; "": the one and only v2 hierarchy */
    const char *dir;  /* the host's directory of the container's group */
    bool v2;
};

struct rootfs {
    /* in; all borrowed */
    const struct oci_spec *spec;
    const struct rootfs_source *source;
    const char *bundle;  /* relative bind sources start here; may be NULL */
    const char *staging; /* an existing directory of ours */
    const struct rootfs_cgroup *cgroups;
    size_t cgroups_n;
    bool userns; /* the container has a user namespace of its own, or we are in one without mknod */
    bool no_pivot;
    int mounts_ns; /* the mount namespace that the container ends in, when it is another's; else -1. Borrowed. */

    /* detached mounts made by rootfs_prepare(), parallel to spec->mounts; -1: the child makes it. Owned. */
    int prepared_root;
    int *prepared;

    /* made on the way; owned */
    int staging_fd, root_fd, null_fd, proc_fd, empty_fd, tty_fd;
    struct mount_options *options; /* parallel to spec->mounts */
    char *root_path;               /* where root_fd is seen; NULL: where the kernel says, asked when it is needed */
};
/* Reads every mount's options and checks what can be checked before anything is made. */
fallible rootfs_init(struct rootfs *r, const struct oci_spec *spec, const struct rootfs_source *source);
void rootfs_clear(struct rootfs *r);

/**
 * rootfs_prepare - in the parent: what the container's own user could not open, as detached mounts.
 * @userns_fd: the container's user namespace with its maps, or -1 (then nothing that needs id-mapping may be asked).
 * Needed when the parent is root and the container has a user namespace, and for id-mapped mounts.
 */
fallible rootfs_prepare(struct rootfs *r, int userns_fd);
bool rootfs_needs_prepare(const struct rootfs *r, bool parent_is_root);
/* The prepared descriptors over a socket, from parent to child; both know how many. */
fallible rootfs_send_prepared(const struct rootfs *r, int sock);
fallible rootfs_receive_prepared(struct rootfs *r, int sock);

/* The rows, in this order. */
fallible rootfs_enter(struct rootfs *r); /* host mounts no longer propagate here; staging, /dev/null, /proc opened */
fallible rootfs_mount_root(struct rootfs *r);
fallible rootfs_mount_all(struct rootfs *r); /* config.json's mounts, in their order */
fallible rootfs_make_devices(struct rootfs *r);
/* A terminal of the container's own devpts; /dev/console leads to it. *ret_master is for the console socket. */
fallible rootfs_open_terminal(struct rootfs *r, int *ret_master);
fallible rootfs_protect(struct rootfs *r); /* masked and read-only paths, read-only root */
fallible rootfs_change_root(struct rootfs *r);

/*
 * Mounts of a running container: the spec has the new ones alone. Prepared by whoever can see their sources; then, in
 * a process that has joined the container's mount namespace, placed below its root, all or none, or taken away.
 * Errors: UNSUPPORTED for kinds that belong to a start, DENIED for binds that only root may make.
 */
fallible rootfs_live_prepare(struct rootfs *r, int userns_fd);
fallible rootfs_live_mount(struct rootfs *r, int root_fd);
fallible rootfs_live_unmount(const struct oci_spec *spec, int root_fd);
/* Writes through a procfs that nothing is mounted over: "sys/kernel/msgmax". */
fallible rootfs_write_proc(struct rootfs *r, const char *path, const char *text);

#endif
