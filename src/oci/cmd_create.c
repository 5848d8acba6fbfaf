/*
 * husk-oci create, run: make a container from a bundle.
 * Compatible with: runc create, runc run.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "oci/oci.h"
#include "os/fs.h"
#include "os/proc.h"
#include "process/seccomp.h"
#include "spec/annotations.h"

struct create_opts {
    const char *bundle, *config, *console_socket, *pid_file, *pidfd_socket;
    struct opt_i64 preserve_fds;
    bool no_pivot, no_new_keyring;
    bool no_subreaper; /* create leaves them so in any case */
    bool detach, keep; /* run */
};

#define T struct create_opts
#define CREATE_OPTIONS                                                                                                 \
    OPT_STR('b', "bundle", T, bundle, "DIR", "The bundle (default: the working directory)"),                           \
        OPT_STR(0, "console-socket", T, console_socket, "PATH", "Send the terminal's master to this unix socket"),     \
        OPT_STR('f', "config", T, config, "FILE", "Read FILE instead of the bundle's config.json"),                    \
        OPT_STR(0, "pid-file", T, pid_file, "FILE", "Write the first process's pid to FILE"),                          \
        OPT_STR(0, "pidfd-socket", T, pidfd_socket, "PATH", "Send the first process's pidfd to this unix socket"),     \
        OPT_I64(0, "preserve-fds", T, preserve_fds, "N", "Pass N more descriptors on, from 3"),                        \
        OPT_FLAG(0, "no-pivot", T, no_pivot, "Move the root instead of pivot_root: for hosts on an initramfs"),        \
        OPT_FLAG(0, "no-new-keyring", T, no_new_keyring, "Keep the caller's session keyring"),                         \
        OPT_FLAG(0, "no-subreaper", T, no_subreaper, "Leave orphans of the container to the system's init")
static const struct opt create_options[] = { CREATE_OPTIONS, OPT_END };
static const struct opt run_options[] = {
    CREATE_OPTIONS,
    OPT_FLAG('d', "detach", T, detach, "Do not wait for the container"),
    OPT_FLAG(0, "keep", T, keep, "Do not delete the container when it ends"),
    OPT_END,
};
#undef T

fallible oci_make_state_dir(const char *id, char **ret)
{
    own_mem char *root = NULL;
    TRY(oci_check_id(id));
    TRY(oci_root(&root));
    own_mem char *path = mem_printf("%s/%s", root, id);
    int made = mkdir(path, 0700);
    if (made < 0 && errno == ENOENT) { /* the first container */
        TRY_AS(fs_mkdirs_at(AT_FDCWD, root, 0700), "--root");
        made = mkdir(path, 0700);
    }
    if (made < 0)
        return errno == EEXIST ? err_new(ERR_EXISTS, "container '%s' exists", id) : err_sys(errno, "make '%s'", path);
    if (*path == '/') {
        *ret = take(path);
        return NULL;
    }
    own_fd int dir = -1;
    TRY(fs_open_dir_at(AT_FDCWD, path, FS_MUST_EXIST, &dir));
    *ret = fs_fd_path(dir); /* absolute, for later commands from other directories */
    return NULL;
}

/* A configuration by another name is kept: exec will ask for it, and it may be gone by then. */
static fallible keep_config(const struct create_opts *o, const struct oci_spec *spec, const char *dir)
{
    own_fd int fd = -1;
    if (!o->config || !*o->config)
        return NULL;
    own_mem char *text = bind_write(&oci_spec_type, spec, BIND_COMPACT);
    TRY(fs_open_dir_at(AT_FDCWD, dir, FS_MUST_EXIST, &fd));
    return fs_replace_at(fd, OCI_CONFIG_COPY, text, strlen(text), 0600, FS_SYNC_NONE);
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

/* What a container that was just made leaves to its verb. */
struct making {
    struct runtime_created made;
    char *dir; /* its state's */
    int master, notify;
};
static void making_clear(struct making *m)
{
    runtime_created_clear(&m->made);
    free(m->dir);
    close_now(&m->master);
    close_now(&m->notify);
}
static inline void own_drop_making(struct making *m)
{
    making_clear(m);
}
#define MAKING                                                                                                         \
    {                                                                                                                  \
        .made = { .pidfd = -1 }, .master = -1, .notify = -1                                                            \
    }

static fallible tell_caller(const struct create_opts *o, const struct oci_spec *spec, const struct making *m)
{
    const char *socket = o->pidfd_socket ? o->pidfd_socket : strmap_get(&spec->annotations, PIDFD_ANNOTATION);
    TRY(oci_send_pidfd(socket, m->made.pidfd));
    return oci_write_pid_file(o->pid_file, m->made.init.pid);
}

enum begin { BEGIN_LATER, BEGIN_NOW };

static fallible make(const struct create_opts *o, struct runtime_create *c, struct oci_spec *spec, struct making *m)
{
    own_mem char *staging = NULL;
    TRY(keep_config(o, spec, m->dir));
    TRY(oci_notify_prepare(m->dir, spec, &staging));
    c->staging = staging;
    if (!c->wait_for_start)
        TRY(oci_notify_listen(m->dir, &m->notify));
    TRY(runtime_create(c, &m->made));
    err *e = tell_caller(o, spec, m);
    if (e)
        err_ignore(runtime_delete(m->dir, true), "the pid file's error matters more");
    return e;
}

/* A configuration on its way to the runtime; its seccomp profile is not read when its filter is known by its text. */
struct reading {
    char *bundle, *text, *cache;
    struct seccomp_text profile;
    struct seccomp_filter filter; /* n 0: not known */
    struct oci_spec *spec;        /* without linux.seccomp when it is */
};
static inline void own_drop_reading(struct reading *r)
{
    free(r->bundle);
    free(r->text);
    free(r->cache);
    seccomp_filter_free(&r->filter);
    oci_spec_free(r->spec);
}

/* The filter is known, but its names are to be looked at. */
static fallible read_whole(const struct create_opts *o, struct reading *r)
{
    own_mem char *bundle = NULL, *text = NULL;
    size_t len = 0;
    TRY(oci_bundle_text(o->bundle, o->config, &bundle, &text, &len));
    seccomp_filter_free(&r->filter);
    r->filter = (struct seccomp_filter){ 0 };
    r->profile = (struct seccomp_text){ 0 };
    oci_spec_free(r->spec);
    r->spec = NULL;
    return oci_spec_read(text, len, &r->spec);
}

static fallible read_config(const struct create_opts *o, struct reading *r)
{
    own_mem char *root = NULL;
    size_t len = 0;
    TRY(oci_root(&root));
    TRY(oci_bundle_text(o->bundle, o->config, &r->bundle, &r->text, &len));
    r->cache = oci_seccomp_cache_of(root);
    if (!o->config || !*o->config) /* one by another name is written down whole */
        r->profile = seccomp_text_find(r->text, len);
    if (seccomp_text_cached(r->text, r->profile, r->cache, &r->filter))
        len = seccomp_text_cut(r->text, len, r->profile);
    TRY(oci_spec_read(r->text, len, &r->spec));
    return r->filter.n && strmap_get(&r->spec->annotations, SECCOMP_UNKNOWN_ANNOTATION) ? read_whole(o, r) : NULL;
}

static void keep_filter(const struct reading *r)
{
    if (!r->filter.n && r->spec->linux_)
        seccomp_text_keep(r->text, r->profile, r->spec->linux_->seccomp, r->cache);
}

static fallible create(const struct create_opts *o, const char *id, enum begin begin, struct making *m)
{
    own(reading) struct reading r = { 0 };
    own_fd int console = -1;
    int preserve = 0;
    TRY(oci_check_preserved(o->preserve_fds, &preserve));
    TRY(oci_check_id(id));
    TRY(read_config(o, &r));
    struct oci_spec *spec = r.spec;
    TRY(check_terminal(o, spec, begin == BEGIN_NOW && !o->detach));
    if (!spec->root)
        return err_new(ERR_INVALID, "config.json: root: missing");
    if (o->console_socket)
        TRY(oci_connect_console(o->console_socket, &console));
    own_mem char *root =
        spec->root->path[0] == '/' ? mem_strdup(spec->root->path) : mem_printf("%s/%s", r.bundle, spec->root->path);
    TRY(oci_make_state_dir(id, &m->dir));
    const struct rootfs_source source = { .kind = ROOTFS_DIR, .dir = root };
    struct runtime_create c = {
        .id = id,
        .bundle = r.bundle,
        .state_dir = m->dir,
        .spec = spec,
        .root = &source,
        .cgroup = oci_cgroup(),
        .cgroup_optional = oci_is_rootless(),
        .cgroup_v1_readers = begin == BEGIN_LATER || o->detach, /* ADR 0052 */
        .cgroup_foreground = begin == BEGIN_NOW && !o->detach,  /* ADR 0057 */
        .seccomp_cache_dir = r.cache,
        .filter = r.filter.n ? &r.filter : NULL,
        .stdio = { -1, -1, -1 },
        .console_sock = console,
        .ret_console_fd = begin == BEGIN_NOW ? &m->master : NULL,
        .wait_for_start = begin == BEGIN_LATER,
        .preserve_fds = preserve,
        .no_pivot = o->no_pivot,
        .no_new_keyring = o->no_new_keyring,
        .detach_session = true, /* as runc: signals of a terminal reach it through us, and CRIU can dump it */
    };
    err *e = make(o, &c, spec, m);
    if (e)
        err_ignore(fs_remove_tree_at(AT_FDCWD, m->dir), "the start's error matters more");
    else
        keep_filter(&r);
    return e;
}

static fallible create_run(const void *opts, struct args args)
{
    own(making) struct making m = MAKING;
    return create(opts, args.v[0], BEGIN_LATER, &m);
}

static fallible wait_foreground(struct making *m)
{
    own_fd int teller = -1;
    int status = 0;
    TRY(oci_notify_in_background(m->notify, m->made.pidfd, &teller));
    err *e = oci_foreground(m->made.pidfd, m->master);
    if (teller >= 0)
        err_ignore(proc_wait(teller, -1, &status), "it ends with the container");
    return e;
}

static fallible run_foreground(const struct create_opts *o, const char *id)
{
    own(making) struct making m = MAKING;
    if (!o->no_subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return err_sys(errno, "become the reaper of the container's orphans");
    TRY(create(o, id, BEGIN_NOW, &m));
    err *e = wait_foreground(&m);
    if (o->keep)
        return e;
    err *e2 = runtime_finish(&m.made);
    if (!e2 && rmdir(m.dir) < 0)
        e2 = fs_remove_tree_at(AT_FDCWD, m.dir);
    if (e2)
        log_warn("delete container '%s': %s", id, err_text(e2));
    err_free(e2);
    return e;
}

static fallible run_run(const void *opts, struct args args)
{
    const struct create_opts *o = opts;
    own(making) struct making m = MAKING;
    if (!o->detach)
        return run_foreground(o, args.v[0]);
    TRY(create(o, args.v[0], BEGIN_NOW, &m));
    return oci_notify_wait(m.notify, m.made.pidfd, m.made.init.pid);
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
