/*
 * husk-oci create, run: make a container from a bundle.
 * Compatible with: runc create, runc run.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "oci/oci.h"
#include "os/fs.h"
#include "os/proc.h"

struct create_opts {
    const char *bundle, *console_socket, *pid_file;
    struct opt_i64 preserve_fds;
    bool no_pivot, no_new_keyring;
    bool detach, keep, no_subreaper; /* run */
};

#define T struct create_opts
#define CREATE_OPTIONS                                                                                                 \
    OPT_STR('b', "bundle", T, bundle, "DIR", "The bundle (default: the working directory)"),                           \
        OPT_STR(0, "console-socket", T, console_socket, "PATH", "Send the terminal's master to this unix socket"),     \
        OPT_STR(0, "pid-file", T, pid_file, "FILE", "Write the first process's pid to FILE"),                          \
        OPT_I64(0, "preserve-fds", T, preserve_fds, "N", "Pass N more descriptors on, from 3"),                        \
        OPT_FLAG(0, "no-pivot", T, no_pivot, "Move the root instead of pivot_root: for hosts on an initramfs"),        \
        OPT_FLAG(0, "no-new-keyring", T, no_new_keyring, "Keep the caller's session keyring")
static const struct opt create_options[] = { CREATE_OPTIONS, OPT_END };
static const struct opt run_options[] = {
    CREATE_OPTIONS,
    OPT_FLAG('d', "detach", T, detach, "Do not wait for the container"),
    OPT_FLAG(0, "keep", T, keep, "Do not delete the container when it ends"),
    OPT_FLAG(0, "no-subreaper", T, no_subreaper, "Leave orphans of the container to the system's init"),
    OPT_END,
};
#undef T

static fallible make_state_dir(const char *id, char **ret)
{
    own_mem char *root = NULL;
    TRY(oci_check_id(id));
    TRY(oci_root(&root));
    if (mkdir(root, 0700) < 0 && errno != EEXIST)
        TRY_AS(fs_mkdirs_at(AT_FDCWD, root, 0700), "--root");
    own_mem char *path = mem_printf("%s/%s", root, id);
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? err_new(ERR_EXISTS, "container '%s' exists", id) : err_sys(errno, "make '%s'", path);
    own_mem char *full = realpath(path, NULL);
    if (!full)
        return err_sys(errno, "find '%s'", path);
    *ret = take(full);
    return NULL;
}

static fallible check_terminal(const struct create_opts *o, const struct oci_spec *spec, bool foreground)
{
    bool terminal = spec->process && spec->process->terminal;
    if (terminal && !foreground && !o->console_socket)
        return err_new(ERR_INVALID, "process.terminal needs --console-socket when nobody waits in the foreground");
    if (!terminal && o->console_socket)
        return err_new(ERR_INVALID, "--console-socket needs process.terminal");
    if (foreground && o->console_socket)
        return err_new(ERR_INVALID, "--console-socket needs --detach");
    return NULL;
}

static fallible create(const struct create_opts *o, const char *id, bool wait_for_start, char **ret_dir,
                       struct runtime_created *ret, int *ret_master)
{
    own(oci_spec) struct oci_spec *spec = NULL;
    own_mem char *bundle = NULL;
    own_mem char *dir = NULL;
    own_fd int console = -1;
    int preserve = 0;
    bool foreground = !wait_for_start && !o->detach;
    TRY(oci_check_preserved(o->preserve_fds, &preserve));
    TRY(oci_check_id(id));
    TRY(oci_bundle(o->bundle, &bundle, &spec));
    TRY(check_terminal(o, spec, foreground));
    if (!spec->root)
        return err_new(ERR_INVALID, "config.json: root: missing");
    if (o->console_socket)
        TRY(oci_connect_console(o->console_socket, &console));
    own_mem char *root =
        spec->root->path[0] == '/' ? mem_strdup(spec->root->path) : mem_printf("%s/%s", bundle, spec->root->path);
    TRY(make_state_dir(id, &dir));
    own_mem char *cache = oci_seccomp_cache(dir);
    const struct rootfs_source source = { .kind = ROOTFS_DIR, .dir = root };
    const struct runtime_create c = {
        .id = id,
        .bundle = bundle,
        .state_dir = dir,
        .spec = spec,
        .root = &source,
        .cgroup_optional = oci_is_rootless(),
        .seccomp_cache_dir = cache,
        .stdio = { -1, -1, -1 },
        .console_sock = console,
        .ret_console_fd = ret_master,
        .wait_for_start = wait_for_start,
        .preserve_fds = preserve,
        .no_pivot = o->no_pivot,
        .no_new_keyring = o->no_new_keyring,
    };
    err *e = runtime_create(&c, ret);
    if (!e && o->pid_file) {
        e = oci_write_pid_file(o->pid_file, ret->init.pid);
        if (e)
            err_ignore(runtime_delete(dir, true), "the pid file's error matters more");
    }
    if (e) {
        err_ignore(fs_remove_tree_at(AT_FDCWD, dir), "the start's error matters more");
        return e;
    }
    *ret_dir = take(dir);
    return NULL;
}

static fallible create_run(const void *opts, struct args args)
{
    struct runtime_created made;
    own_mem char *dir = NULL;
    TRY(create(opts, args.v[0], true, &dir, &made, NULL));
    runtime_created_clear(&made);
    return NULL;
}

static fallible run_foreground(const struct create_opts *o, const char *id)
{
    struct runtime_created made;
    own_mem char *dir = NULL;
    own_fd int master = -1;
    if (!o->no_subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return err_sys(errno, "become the reaper of the container's orphans");
    TRY(create(o, id, false, &dir, &made, &master));
    err *e = oci_foreground(made.pidfd, master);
    if (o->keep) {
        runtime_created_clear(&made);
        return e;
    }
    err *e2 = runtime_finish(&made);
    if (!e2 && rmdir(dir) < 0)
        e2 = fs_remove_tree_at(AT_FDCWD, dir);
    if (e2)
        log_warn("delete container '%s': %s", id, err_text(e2));
    err_free(e2);
    return e;
}

static fallible run_run(const void *opts, struct args args)
{
    const struct create_opts *o = opts;
    struct runtime_created made;
    own_mem char *dir = NULL;
    if (!o->detach)
        return run_foreground(o, args.v[0]);
    TRY(create(o, args.v[0], false, &dir, &made, NULL));
    runtime_created_clear(&made);
    return NULL;
}

const struct command oci_cmd_create = {
    .name = "create",
    .args = "ID",
    .summary = "Make a container that waits for its start",
    .opts = create_options,
    .opts_size = sizeof(struct create_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = create_run,
};
const struct command oci_cmd_run = {
    .name = "run",
    .args = "ID",
    .summary = "Make a container and start it",
    .opts = run_options,
    .opts_size = sizeof(struct create_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = run_run,
};
