/*
 * annotations.h: crun's annotations of a config.json, where they are more than words for others.
 *
 * Some stand for fields that the specification had not yet and now has: they become these, where config.json has not
 * got them itself. Some ask for what husk does not do, and a container that started without it would not be the one
 * that was asked for: they are refused. The table is in docs/design/oci.md. Source: crun(1), "Extensions to OCI".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_SPEC_ANNOTATIONS_H
#define HUSK_SPEC_ANNOTATIONS_H

#include "spec/oci_runtime.h"

/* Present: a system call of linux.seccomp that is not known is an error. */
#define SECCOMP_UNKNOWN_ANNOTATION "run.oci.seccomp_fail_unknown_syscall"
/* A unix socket that gets the first process's pidfd, as --pidfd-socket. */
#define PIDFD_ANNOTATION "run.oci.pidfd_receiver"

/* Errors: INVALID (a value that cannot be), UNSUPPORTED (what husk does not do, with what to do instead). */
fallible annotations_heed(struct oci_spec *spec);

#endif
