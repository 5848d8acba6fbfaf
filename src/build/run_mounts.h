/*
 * run_mounts.h: the mounts of a RUN step: made in a mount namespace of the step's own, bound into its container.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_RUN_MOUNTS_H
#define HUSK_BUILD_RUN_MOUNTS_H

#include "build/run.h"
#include "spec/oci_runtime.h"

/* Makes the sources in s->dir, and the mount points in s->dir/points. Once; takes this process into a new mount
 * namespace when there is anything to mount. */
fallible run_mounts_prepare(const struct run_step *s);
/* Where the mount of that number has its agent's socket, when it does not say: "/run/buildkit/ssh_agent.N". */
char *run_mounts_ssh_path(const struct run_mount *mounts, size_t i);
/* Adds them to the container's. */
fallible run_mounts_add(const struct run_step *s, struct oci_spec *spec);

#endif
