/*
 * inside.h: work in the files of a container, as its root, without running anything of its own.
 *
 * The work is done by a child that has become root of the container's user namespace but stays in the host's mount
 * namespace: it reaches the container's files through one descriptor only (os/root.h), and /proc is the host's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_INSIDE_H
#define HUSK_ENGINE_INSIDE_H

#include "engine/container.h"

enum inside {
    INSIDE_MOUNTS, /* as its programs see it: with volumes and binds, those of a stopped one too */
    INSIDE_ROOT,   /* its root alone, without anything that is mounted on it */
};
/* root_fd: its root; O_PATH. Borrowed. */
typedef err *inside_fn(int root_fd, void *ctx);
/**
 * container_inside - run fn in a child as told above, and answer its error.
 * A container that does not run is locked meanwhile, so that nobody starts it.
 */
fallible container_inside(struct container *c, enum inside what, inside_fn *fn, void *ctx);

/* The root of a locked container as a detached mount: the one that it runs in, or one that is made. UNSUPPORTED: it
 * runs in a user namespace that we cannot reach. */
fallible container_root_mount(struct container *c, int *ret_mount_fd);

/* A child that calls fn and ends; its error is answered by child_end(). */
struct child_work {
    int pidfd, answer_fd;
};
fallible child_begin(err *(*fn)(void *ctx), void *ctx, struct child_work *ret);
fallible child_end(struct child_work *w);

/* Like child_begin(), in a child that is root of the user namespace that a container of this user has, with a mount
 * namespace of its own: for what is on the disk of a container's writable layer. Root needs none. */
fallible on_disk_begin(err *(*fn)(void *ctx), void *ctx, struct child_work *ret);

#endif
