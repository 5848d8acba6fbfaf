/*
 * oci.h: husk-oci, the OCI runtime command line: runc's verbs and flags over runtime/.
 *
 * Containers live below --root, one folder each, named by id. The face translates and decides nothing else.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OCI_OCI_H
#define HUSK_OCI_OCI_H

#include "base/opt.h"
#include "runtime/runtime.h"

/* What stands before the verb. */
struct oci_global {
    const char *root, *log, *log_format, *rootless;
    bool debug, systemd_cgroup, version, help;
};
const struct oci_global *oci_global(void);
/* --root, or /run/husk-oci, or $XDG_RUNTIME_DIR/husk-oci for an ordinary user. Caller frees. */
fallible oci_root(char **ret);
/* A user that has no rights over the host's cgroups: --rootless, or as it is. */
bool oci_is_rootless(void);

/* INVALID for an id that is empty, ".", "..", too long, begins with "-" or holds anything but letters, digits and _+-.
 */
fallible oci_check_id(const char *id);
/* The folder of a container, which exists: NOT_FOUND names the id. Caller frees. */
fallible oci_state_dir(const char *id, char **ret);

/* Where compiled filters are kept: beside the containers' folders. Caller frees. */
char *oci_seccomp_cache(const char *state_dir);

/* bundle: NULL is the working directory. The absolute path of the bundle, and its config.json. */
fallible oci_bundle(const char *bundle, char **ret_path, struct oci_spec **ret_spec);
fallible oci_write_pid_file(const char *path, pid_t pid);
/* 3 ... 3+n-1 must be open, or descriptors of ours would take their places. LISTEN_FDS adds to n. */
fallible oci_check_preserved(struct opt_i64 preserve_fds, int *ret_n);
fallible oci_connect_console(const char *path, int *ret_sock);
/* Waits in the foreground, with the terminal when there is one; the status is answered as err_exit(). */
fallible oci_foreground(int pidfd, int master_fd);

extern const struct command oci_cmd_create, oci_cmd_run, oci_cmd_start, oci_cmd_state, oci_cmd_kill, oci_cmd_delete,
    oci_cmd_list, oci_cmd_exec, oci_cmd_ps, oci_cmd_pause, oci_cmd_resume, oci_cmd_spec, oci_cmd_features;

#endif
