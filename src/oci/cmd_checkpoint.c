/*
 * husk-oci checkpoint, restore: a container's processes to files and back, by CRIU.
 * Compatible with: runc's and crun's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "oci/oci.h"
#include "os/fs.h"

struct criu_opts {
    const char *image_path, *work_path, *parent_path, *page_server, *manage_cgroups_mode, *empty_ns, *network_lock,
        *lsm_profile, *lsm_mount_context;
    struct opt_i64 status_fd;
    bool leave_running, tcp_established, tcp_close, ext_unix_sk, shell_job, lazy_pages, file_locks, pre_dump,
        auto_dedup, link_remap;
    /* restore */
    const char *bundle, *config, *console_socket, *pid_file;
    bool detach, no_subreaper, no_pivot, keep;
};

#define T struct criu_opts
#define CRIU_OPTIONS                                                                                                   \
    OPT_STR(0, "image-path", T, image_path, "DIR", "Where the images are (default ./checkpoint)"),                     \
        OPT_STR(0, "work-path", T, work_path, "DIR", "Where CRIU keeps its log (default the images')"),                \
        OPT_FLAG(0, "tcp-established", T, tcp_established, "With open TCP connections"),                               \
        OPT_FLAG(0, "ext-unix-sk", T, ext_unix_sk, "With unix sockets whose other end is outside"),                    \
        OPT_FLAG(0, "shell-job", T, shell_job, "With a terminal of outside"),                                          \
        OPT_FLAG(0, "lazy-pages", T, lazy_pages, "Memory is fetched when it is touched (userfaultfd)"),                \
        OPT_FLAG(0, "file-locks", T, file_locks, "With file locks"),                                                   \
        OPT_FLAG(0, "auto-dedup", T, auto_dedup, "Drop pages from parent images that are in newer ones"),              \
        OPT_STR(0, "manage-cgroups-mode", T, manage_cgroups_mode, "MODE", "soft (default), full, strict or ignore"),   \
        OPT_STR(0, "empty-ns", T, empty_ns, "NAMESPACE", "Make it, but do not restore what is in it: network"),        \
        OPT_STR(0, "network-lock", T, network_lock, "HOW", "nftables, iptables or skip (default: CRIU's own)")
static const struct opt checkpoint_options[] = {
    CRIU_OPTIONS,
    OPT_STR(0, "parent-path", T, parent_path, "DIR", "The images of the pre-dump before, relative to these"),
    OPT_FLAG(0, "leave-running", T, leave_running, "Let the container go on"),
    OPT_FLAG(0, "pre-dump", T, pre_dump, "Memory alone, while the container goes on"),
    OPT_FLAG(0, "link-remap", T, link_remap, "With open files that were deleted"),
    OPT_STR(0, "page-server", T, page_server, "ADDRESS:PORT", "Send the memory there"),
    OPT_I64(0, "status-fd", T, status_fd, "FD", "A byte is written there when lazy pages can be served"),
    OPT_END,
};
static const struct opt restore_options[] = {
    CRIU_OPTIONS,
    OPT_STR('b', "bundle", T, bundle, "DIR", "The bundle (default: the working directory)"),
    OPT_STR('f', "config", T, config, "FILE", "Read FILE instead of the bundle's config.json"),
    OPT_STR(0, "console-socket", T, console_socket, "PATH", "Send the terminal's master to this unix socket"),
    OPT_STR(0, "pid-file", T, pid_file, "FILE", "Write the first process's pid to FILE"),
    OPT_FLAG('d', "detach", T, detach, "Do not wait for the container"),
    OPT_FLAG(0, "keep", T, keep, "Do not delete the container when it ends"),
    OPT_FLAG(0, "no-subreaper", T, no_subreaper, "Leave orphans of the container to the system's init"),
    OPT_FLAG(0, "no-pivot", T, no_pivot, "For hosts on an initramfs: the root is made one that can be left"),
    OPT_FLAG(0, "tcp-close", T, tcp_close, "Open TCP connections come back closed"),
    OPT_STR(0, "lsm-profile", T, lsm_profile, "TYPE:NAME", "Another AppArmor profile or SELinux label"),
    OPT_STR(0, "lsm-mount-context", T, lsm_mount_context, "LABEL", "Another SELinux label for mounts"),
    OPT_END,
};
#undef T

static fallible open_images(const struct criu_opts *o, bool make, int *ret_images, int *ret_work)
{
    const char *images = o->image_path && *o->image_path ? o->image_path : "checkpoint";
    const char *work = o->work_path && *o->work_path ? o->work_path : images;
    if (make) {
        TRY_AS(fs_mkdirs_at(AT_FDCWD, images, 0700), "--image-path");
        TRY_AS(fs_mkdirs_at(AT_FDCWD, work, 0700), "--work-path");
    }
    *ret_images = open(images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_images < 0)
        return err_sys(errno, "--image-path '%s'", images);
    *ret_work = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_work < 0 ? err_sys(errno, "--work-path '%s'", work) : NULL;
}

static fallible translate(const struct criu_opts *o, int images, int work, struct runtime_criu *ret)
{
    if (o->empty_ns && !str_eq(o->empty_ns, "network"))
        return err_new(ERR_INVALID, "--empty-ns: '%s': only the network can be left empty", o->empty_ns);
    if (o->parent_path && o->parent_path[0] == '/')
        return err_new(ERR_INVALID, "--parent-path: '%s': it is relative to the images (CRIU's rule)", o->parent_path);
    *ret = (struct runtime_criu){
        .program = oci_global()->criu,
        .images_fd = images,
        .work_fd = work,
        .parent = o->parent_path,
        .page_server = o->page_server,
        .cgroups_mode = o->manage_cgroups_mode,
        .network_lock = o->network_lock,
        .lsm_profile = o->lsm_profile,
        .lsm_mount_context = o->lsm_mount_context,
        .leave_running = o->leave_running,
        .pre_dump = o->pre_dump,
        .tcp_established = o->tcp_established,
        .tcp_close = o->tcp_close,
        .ext_unix_sk = o->ext_unix_sk,
        .shell_job = o->shell_job,
        .file_locks = o->file_locks,
        .link_remap = o->link_remap,
        .auto_dedup = o->auto_dedup,
        .lazy_pages = o->lazy_pages,
        .empty_net = o->empty_ns != NULL,
        .no_pivot = o->no_pivot,
        .status_fd = o->status_fd.set ? (int)o->status_fd.v : -1,
    };
    return NULL;
}

static fallible checkpoint_run(const void *opts, struct args args)
{
    const struct criu_opts *o = opts;
    struct runtime_criu how;
    own_mem char *dir = NULL;
    own_fd int images = -1;
    own_fd int work = -1;
    TRY(oci_state_dir(args.v[0], &dir));
    TRY(open_images(o, true, &images, &work));
    TRY(translate(o, images, work, &how));
    TRY(runtime_checkpoint(dir, &how));
    if (o->leave_running || o->pre_dump)
        return NULL;
    TRY(runtime_delete(dir, true)); /* as runc: what is in files is no container any more */
    return fs_remove_tree_at(AT_FDCWD, dir);
}

static fallible restore(const struct criu_opts *o, const char *id, const struct runtime_criu *how, char **ret_dir,
                        struct runtime_created *ret, int *ret_master)
{
    own_fd int console = -1;
    own(oci_spec) struct oci_spec *spec = NULL;
    own_mem char *bundle = NULL;
    own_mem char *dir = NULL;
    TRY(oci_bundle(o->bundle, o->config, &bundle, &spec));
    if (!spec->root)
        return err_new(ERR_INVALID, "config.json: root: missing");
    bool terminal = spec->process && spec->process->terminal;
    bool socket = o->console_socket && *o->console_socket;
    if (socket && !terminal)
        return err_new(ERR_INVALID, "--console-socket: the container has no terminal (process.terminal)");
    if (terminal && !socket && o->detach)
        return err_new(ERR_INVALID, "--detach with a terminal needs --console-socket");
    if (socket)
        TRY(oci_connect_console(o->console_socket, &console));
    own_mem char *root =
        spec->root->path[0] == '/' ? mem_strdup(spec->root->path) : mem_printf("%s/%s", bundle, spec->root->path);
    TRY(oci_make_state_dir(id, &dir));
    const struct rootfs_source source = { .kind = ROOTFS_DIR, .dir = root };
    const struct runtime_create c = {
        .id = id,
        .bundle = bundle,
        .state_dir = dir,
        .spec = spec,
        .root = &source,
        .cgroup = oci_cgroup(),
        .stdio = { -1, -1, -1 },
        .console_sock = console,
        .ret_console_fd = ret_master,
    };
    err *e = runtime_restore(&c, how, ret);
    if (!e)
        e = oci_write_pid_file(o->pid_file, ret->init.pid);
    if (e) {
        if (ret->pidfd >= 0)
            err_ignore(runtime_delete(dir, true), "the pid file's error matters more");
        err_ignore(fs_remove_tree_at(AT_FDCWD, dir), "the restore's error matters more");
        return e;
    }
    *ret_dir = take(dir);
    return NULL;
}

static fallible restore_run(const void *opts, struct args args)
{
    const struct criu_opts *o = opts;
    struct runtime_criu how;
    struct runtime_created made = { .pidfd = -1 };
    own_mem char *dir = NULL;
    own_fd int images = -1;
    own_fd int work = -1;
    own_fd int master = -1;
    TRY(open_images(o, false, &images, &work));
    TRY(translate(o, images, work, &how));
    if (!o->detach && !o->no_subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return err_sys(errno, "become the reaper of the container's orphans");
    err *e = restore(o, args.v[0], &how, &dir, &made, &master);
    if (!e && !o->detach)
        e = oci_foreground(made.pidfd, master);
    if (dir && !o->detach && !o->keep) {
        err *e2 = runtime_finish(&made);
        if (!e2)
            e2 = fs_remove_tree_at(AT_FDCWD, dir);
        if (e2)
            log_warn("delete container '%s': %s", args.v[0], err_text(e2));
        err_free(e2);
    }
    runtime_created_clear(&made);
    return e;
}

const struct command oci_cmd_checkpoint = {
    .name = "checkpoint",
    .args = "ID",
    .summary = "Write a container's processes to files (CRIU), and end it",
    .opts = checkpoint_options,
    .opts_size = sizeof(struct criu_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = checkpoint_run,
};
const struct command oci_cmd_restore = {
    .name = "restore",
    .args = "ID",
    .summary = "Make a container from such files: its processes go on",
    .opts = restore_options,
    .opts_size = sizeof(struct criu_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = restore_run,
};
