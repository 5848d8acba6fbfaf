// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "build/run_mounts.h"
#include "engine/hosts.h"
#include "engine/lowers.h"
#include "engine/network_step.h"
#include "engine/paths.h"
#include "engine/spec.h"
#include "layers/flatten.h"
#include "layers/mountpoints.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/proc.h"
#include "runtime/runtime.h"
#include "usernet/usernet.h"

/* ---- the configuration ---- */

static fallible make_config(const struct run_step *s, struct container_config **ret)
{
    struct create_options o = *s->options;
    o.systemd = "false"; /* a step is no system, whatever its program is called */
    struct oci_image_run run = { .env = s->env, .user = (char *)s->user, .working_dir = (char *)s->workdir };
    struct oci_rootfs rootfs = { .diff_ids = *s->layers };
    struct oci_image_config config = { .config = &run, .rootfs = &rootfs };
    struct image image = { .config = &config };
    o.entrypoint = "";
    o.privileged = s->insecure;
    if (!str_eq(o.uts, "host"))
        o.hostname = o.hostname ? o.hostname : s->hostname ? s->hostname : "husk-build";
    o.userns = "host";
    TRY(options_merge(&o, &image, s->argv.items, s->argv.n, ret));
    free((*ret)->network);
    (*ret)->network = mem_strdup(s->network);
    return NULL;
}

fallible build_run_check(const struct create_options *options)
{
    own(container_config) struct container_config *config = NULL;
    const struct strv none = { 0 };
    static char program[] = "true";
    char *words[] = { program };
    struct run_step s = { .layers = &none, .options = options, .network = "none", .workdir = "/" };
    s.argv = (struct strv){ .items = words, .n = 1 };
    TRY(make_config(&s, &config));
    for (size_t i = 0; i < config->mounts_n; i++)
        if (strcmp(config->mounts[i].type, "volume") == 0)
            return err_new(
                ERR_UNSUPPORTED,
                "--volume: '%s' is no path: a build has no volumes: RUN --mount=type=cache keeps files between "
                "builds",
                config->mounts[i].source);
    return NULL;
}

static fallible make_root(const struct run_step *s, struct rootfs_source *ret)
{
    struct layout *l;
    own_mem char *mountpoints = NULL;
    TRY(engine_layout(s->engine, &l));
    TRY(mountpoints_path(l, &mountpoints));
    ret->kind = ROOTFS_OVERLAY;
    TRY(lowers_of(s->engine, s->layers, &ret->lowers));
    strv_add_take(&ret->lowers, take(mountpoints));
    strv_add_take(&ret->lowers, mem_printf("%s/points", s->dir)); /* the lowest: what the image has lies over it */
    ret->upper = mem_printf("%s/upper", s->dir);
    ret->work = mem_printf("%s/work", s->dir);
    ret->throw_away = true; /* of staging: what becomes a layer is synced when it does, build_layer_make() */
    return NULL;
}

/* The layers' files, as an overlay would show them; dir: new. */
static fallible copy_layers(const struct rootfs_source *root, const char *dir)
{
    if (mkdir(dir, 0755) < 0)
        return err_sys(errno, "make '%s'", dir);
    return flatten(&root->lowers, dir);
}

/* The same root without an overlay. Not by fuse-overlayfs either: its upper directory is no layer as it is, it has
 * marks of its own. */
static fallible make_copy(const struct run_step *s, struct rootfs_source *root)
{
    own_mem char *dir = mem_printf("%s/tree", s->dir);
    TRY(copy_layers(root, dir));
    root->kind = ROOTFS_DIR;
    root->dir = take(dir);
    return NULL;
}

/* What became of the copy, beside another one, is what an overlay would have in its upper directory. */
static fallible find_changes(const struct run_step *s, const struct rootfs_source *root)
{
    own_mem char *base = mem_printf("%s/base", s->dir);
    TRY(copy_layers(root, base));
    return flatten_compare(base, root->dir, root->upper, true);
}

static fallible write_text(int dir, const char *name, const char *text)
{
    return fs_replace_at(dir, name, text, strlen(text), 0644, FS_SYNC_NONE);
}

static fallible write_files(int dir, const struct container_config *c, const struct oci_spec *spec,
                            const struct container_network *network)
{
    own_mem char *hosts = NULL, *resolv = NULL;
    own_mem char *hostname = mem_printf("%s\n", spec->hostname ? spec->hostname : "localhost");
    TRY(hosts_text(c, spec->hostname, network, NULL, &hosts));
    TRY(write_text(dir, "hosts", hosts));
    if (!c->no_resolv) {
        TRY(resolv_text(c, network, &resolv));
        TRY(write_text(dir, "resolv.conf", resolv));
    }
    return write_text(dir, "hostname", hostname);
}

/* In the user's namespace, which does not own the host's network, the kernel refuses a new sysfs: the host's own is
 * bound, which shows the same. */
static void remake(struct oci_mount *m, const char *type, const char *source, const char *options)
{
    free(m->type);
    free(m->source);
    strv_free(&m->options);
    m->type = mem_strdup(type);
    m->source = mem_strdup(source);
    strv_split(&m->options, options, ',');
}

static void bind_sys(struct oci_spec *spec)
{
    for (size_t i = 0; i < spec->mounts_n; i++) {
        struct oci_mount *m = &spec->mounts[i];
        if (str_eq(m->destination, "/sys"))
            remake(m, "bind", "/sys", "rbind,nosuid,noexec,nodev,ro");
        else if (str_eq(m->destination, "/sys/fs/cgroup")) /* the host's groups are nobody's business */
            remake(m, "tmpfs", "tmpfs", "nosuid,noexec,nodev,ro,size=0k,mode=555");
    }
}

/* ---- its life ---- */

struct running {
    const struct run_step *s;
    char id[65];
    char *state_dir;
    int state_fd;          /* locked */
    int signals_fd;        /* those that end us; -1: none asks */
    struct engine *engine; /* this process's own: a database is not taken along by a fork */
    struct container_network network;
    struct strv pasta; /* its options; none: it is not wanted */
};

static fallible make_state_dir(struct running *r)
{
    own_fd int run = -1;
    random_hex(r->id, 32);
    r->state_dir = mem_printf("%s/%s", r->s->engine->run, r->id);
    TRY(paths_open_run(r->s->engine->run, &run));
    if (mkdirat(run, r->id, 0700) < 0)
        return err_sys(errno, "make '%s'", r->state_dir);
    r->state_fd = open(r->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->state_fd < 0 || flock(r->state_fd, LOCK_EX | LOCK_NB) < 0)
        return err_sys(errno, "lock '%s'", r->state_dir);
    return write_text(r->state_fd, "build", "");
}

/* ---- its network ---- */

/* pasta is in our user namespace already. Where the host has no way out there is nothing to be joined to. */
static fallible join_outside(struct running *r)
{
    const char *missing = pasta_missing();
    if (!usernet_host_has_outside())
        return NULL;
    if (missing)
        return err_new(ERR_UNSUPPORTED, "RUN: its network: %s; or build with --network host", missing);
    strv_add(&r->pasta, "--netns-only");
    return NULL;
}

static fallible open_network(struct running *r)
{
    if (str_eq(r->s->network, "none") || str_eq(r->s->network, "host"))
        return NULL;
    if (r->s->ordinary)
        return join_outside(r);
    TRY(engine_open(&r->engine));
    TRY_AS(network_step_prepare(r->engine, r->id, r->s->network, &r->network), "RUN: its network");
    return NULL;
}

static void close_network(struct running *r)
{
    if (r->pasta.n && r->state_fd >= 0)
        pasta_stop_at(r->state_fd);
    if (r->engine)
        err_ignore(network_step_end(r->engine, r->id), "the next build, or `husk system check`, does it");
    container_network_clear(&r->network);
    strv_free(&r->pasta);
    engine_free(r->engine);
    r->engine = NULL;
}

/* Signals that end us wait from before there is a container until what it needed is gone: taken at any other moment, we
 * would leave it running. */
static fallible hold_signals(int *ret_fd, sigset_t *ret_old)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, ret_old);
    *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return *ret_fd < 0 ? err_sys(errno, "make a signalfd") : NULL;
}

/* Waits for its end; a signal to end us ends it. */
static fallible wait_for(const struct running *r, int pidfd, int *ret_code)
{
    int status = 0;
    bool cancelled = false;
    struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN }, { .fd = r->signals_fd, .events = POLLIN } };
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        if ((fds[1].revents & POLLIN) && !cancelled) {
            cancelled = true;
            fds[1].fd = -1;
            err_ignore(proc_signal(pidfd, SIGKILL), "it may be gone already");
        }
        if (fds[0].revents & POLLIN)
            break;
    }
    TRY(proc_wait(pidfd, -1, &status));
    *ret_code = proc_exit_code(status);
    return cancelled ? err_new(ERR_CANCELLED, "the build was told to end") : NULL;
}

static fallible create(const struct running *r, const struct oci_spec *spec, const struct rootfs_source *root,
                       bool optional, struct runtime_created *created)
{
    own_mem char *seccomp = mem_printf("%s/seccomp", r->s->engine->run);
    own_mem char *staging = mem_printf("%s/stage", r->s->dir); /* the new root covers it, and it alone */
    if (mkdir(staging, 0700) < 0 && errno != EEXIST)
        return err_sys(errno, "make '%s'", staging);
    own_fd int null =
        r->s->stdin_too ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct runtime_create c = {
        .id = r->id,
        .state_dir = r->state_dir,
        .staging = staging,
        .spec = spec,
        .root = root,
        .network = r->network.plan.links_n ? &r->network.plan : NULL,
        .pasta = r->pasta.n ? &r->pasta : NULL,
        .cgroup_optional = optional,
        .seccomp_cache_dir = seccomp,
        .stdio = { null, r->s->out_fd, r->s->out_fd },
        .console_sock = -1,
        .init = false,
        .detach_session = true,
    };
    return runtime_create(&c, created);
}

static fallible run_spec(const struct running *r, const struct container_config *config, struct rootfs_source *root,
                         bool limits, int *ret_code)
{
    own(oci_spec) struct oci_spec *spec = NULL;
    struct runtime_created created = { .pidfd = -1 };
    struct spec_input in = { .id = r->id,
                             .config = config,
                             .root = root,
                             .dir = r->state_dir,
                             .folder = r->s->dir,
                             .volumes = "",
                             .limits = limits };
    TRY(spec_make(&in, &spec));
    if (ids_in_userns() && str_eq(r->s->network, "host"))
        bind_sys(spec);
    TRY(run_mounts_add(r->s, spec));
    TRY(write_files(r->state_fd, config, spec, &r->network));
    TRY(create(r, spec, root, !spec_wants_cgroup(config), &created));
    err *e = wait_for(r, created.pidfd, ret_code);
    err *finished = runtime_finish(&created);
    if (e) {
        err_ignore(finished, "the first error says what went wrong");
        return e;
    }
    return finished;
}

static fallible run_limited(const struct running *r, const struct container_config *config, struct rootfs_source *root,
                            int *ret_code)
{
    err *e = run_spec(r, config, root, true, ret_code);
    if ((!err_is(e, ERR_DENIED) && !err_is(e, ERR_UNSUPPORTED)) || spec_wants_cgroup(config))
        return e;
    err_ignore(e, "again without the default limits, which nobody asked for; another cause will come again");
    return run_spec(r, config, root, false, ret_code);
}

static fallible run_here(struct running *r, int *ret_code)
{
    own(container_config) struct container_config *config = NULL;
    struct rootfs_source root = { 0 };
    TRY(make_state_dir(r));
    TRY(make_config(r->s, &config));
    bool copied = r->s->storage != SETTINGS_DRIVER_OVERLAY;
    err *e = make_root(r->s, &root);
    if (!e)
        e = open_network(r);
    if (!e)
        e = run_mounts_prepare(r->s);
    if (!e)
        e = overlays_make(config, r->s->dir);
    if (!e && copied)
        e = make_copy(r->s, &root);
    if (!e)
        e = run_limited(r, config, &root, ret_code);
    if (!e && copied)
        e = find_changes(r->s, &root);
    rootfs_source_free(&root);
    return e;
}

fallible build_run(const struct run_step *s, int *ret_code)
{
    struct running r = { .s = s, .state_fd = -1, .signals_fd = -1, .network = { .dns_sock = -1 } };
    sigset_t old;
    err *e = hold_signals(&r.signals_fd, &old);
    if (!e)
        e = run_here(&r, ret_code);
    close_network(&r);
    if (r.state_fd >= 0)
        err_ignore(fs_remove_tree_at(AT_FDCWD, r.state_dir), "`husk system check` finds it");
    close_now(&r.state_fd);
    close_now(&r.signals_fd);
    free(r.state_dir);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    return e;
}

/* ---- what killed builds left ---- */

static fallible sweep_one(struct engine *e, const char *name)
{
    own_mem char *path = mem_printf("%s/%s", e->run, name), *mark = mem_printf("%s/build", path);
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || access(mark, F_OK) < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return NULL;
    log_debug("build: ending what a killed build left: %s", name);
    err_ignore(runtime_delete(path, true), "it may have been killed before it had a state");
    pasta_stop_at(fd);
    TRY(network_withdraw(path));
    return fs_remove_tree_at(AT_FDCWD, path);
}

/* With a database of its own: ours is not to be open when steps are forked. */
static fallible sweep_rows(void)
{
    own(engine) struct engine *e = NULL;
    int64_t n;
    TRY(engine_open(&e));
    return network_step_sweep(e, true, &n);
}

fallible build_run_sweep(struct engine *e)
{
    own_dir DIR *dir = opendir(e->run);
    if (!dir)
        return errno == ENOENT ? NULL : err_sys(errno, "read '%s'", e->run);
    for (const struct dirent *x; (x = readdir(dir));)
        if (strlen(x->d_name) == 64)
            TRY(sweep_one(e, x->d_name));
    return sweep_rows();
}
