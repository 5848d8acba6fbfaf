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

/* In the container's folder: the configuration, when it was not the bundle's config.json. */
#define OCI_CONFIG_COPY "config.json"

/* What stands before the verb. */
struct oci_global {
    const char *root, *log, *log_format, *log_level, *rootless, *cgroup_manager, *criu;
    bool debug, systemd_cgroup, version, help;
};
const struct oci_global *oci_global(void);
/* --root, or /run/husk-oci, or $XDG_RUNTIME_DIR/husk-oci for an ordinary user. Caller frees. */
fallible oci_root(char **ret);
/* A user that has no rights over the host's cgroups: --rootless, or as it is. */
bool oci_is_rootless(void);
/* --cgroup-manager. */
enum runtime_cgroup oci_cgroup(void);

/* INVALID for an id that is empty, ".", "..", too long, begins with "-" or holds anything but letters, digits and _+-.
 */
fallible oci_check_id(const char *id);
/* Makes the folder of a new container: EXISTS names the id. Caller frees. */
fallible oci_make_state_dir(const char *id, char **ret);
/* The folder of a container, which exists: NOT_FOUND names the id. Caller frees. */
fallible oci_state_dir(const char *id, char **ret);

/* Where compiled filters are kept: beside the containers' folders. Caller frees. */
char *oci_seccomp_cache(const char *state_dir);
char *oci_seccomp_cache_of(const char *root);

/* bundle: NULL is the working directory. config: NULL is config.json in it; relative to the bundle. The absolute path
 * of the bundle, and its configuration. */
fallible oci_bundle(const char *bundle, const char *config, char **ret_path, struct oci_spec **ret_spec);
/* The same without reading it: its text. */
fallible oci_bundle_text(const char *bundle, const char *config, char **ret_path, char **ret_text, size_t *ret_len);
/* The ids of the containers whose names an extended regular expression matches (anywhere, as crun has it). */
fallible oci_matching(const char *regex, struct strv *ret_ids);
/* Calls act for the container named, or with regex for each that it matches: goes on after a failure, which is logged,
 * and answers the first. */
fallible oci_each(const char *id, bool regex, err *(*act)(const char *id, void *ctx), void *ctx);
fallible oci_write_pid_file(const char *path, pid_t pid);
/* 3 ... 3+n-1 must be open, or descriptors of ours would take their places. LISTEN_FDS adds to n. */
fallible oci_check_preserved(struct opt_i64 preserve_fds, int *ret_n);
fallible oci_connect_console(const char *path, int *ret_sock);
/* Sends a process's descriptor to a unix socket: runc's --pidfd-socket. The message is "0". path NULL: nothing. */
fallible oci_send_pidfd(const char *path, int pidfd);
/*
 * NOTIFY_SOCKET: with one in our environment, the container gets another of its own (oci_notify_prepare, at its
 * creation; it changes the configuration, and the root must be staged in *ret_staging unless that is NULL), which
 * whoever starts the program listens on. When the program says READY=1, so do we, with MAINPID when main_pid is not 0.
 * The end of the program (pidfd) ends the wait. sock -1: nothing to do.
 */
fallible oci_notify_prepare(const char *state_dir, struct oci_spec *spec, char **ret_staging);
fallible oci_notify_listen(const char *state_dir, int *ret_sock);
fallible oci_notify_wait(int sock, int pidfd, pid_t main_pid);
/* The wait as a child of ours, for a run in the foreground; *ret_pidfd is the child's. */
fallible oci_notify_in_background(int sock, int pidfd, int *ret_pidfd);
/* Waits in the foreground, with the terminal when there is one; the status is answered as err_exit(). */
fallible oci_foreground(int pidfd, int master_fd);

extern const struct command oci_cmd_create, oci_cmd_run, oci_cmd_start, oci_cmd_state, oci_cmd_kill, oci_cmd_delete,
    oci_cmd_list, oci_cmd_exec, oci_cmd_ps, oci_cmd_pause, oci_cmd_resume, oci_cmd_spec, oci_cmd_features,
    oci_cmd_update, oci_cmd_events, oci_cmd_mounts, oci_cmd_checkpoint, oci_cmd_restore;

#endif
