// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Images whose first program is an init of their own. systemd needs a tmpfs on /run, /run/lock and /tmp, a control
 * group that it may divide, SIGRTMIN+3 to end, and to know that it is in a container. s6-overlay and OpenRC need to be
 * PID 1. Source: systemd.io/CONTAINER_INTERFACE; podman-run(1), --systemd.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "engine/container_parts.h"
#include "engine/options_parts.h"
#include "os/fs.h"

static const char *const init_names[] = { "/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init", "/init",
                                          "/sbin/openrc-init" };
static const char *const systemd_names[] = { "/lib/systemd/systemd", "/usr/lib/systemd/systemd" };
static const char *const openrc_names[] = { "/sbin/openrc", "/usr/sbin/openrc", "/sbin/openrc-init",
                                            "/usr/sbin/openrc-init" };

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static const char *program_of(const struct container_config *c)
{
    return c->entrypoint.n ? c->entrypoint.items[0] : c->cmd.n ? c->cmd.items[0] : "";
}

/* In any layer: a name of an init's own is never a link that leads elsewhere. */
static bool image_has(const struct rootfs_source *root, const char *const *names, size_t names_n)
{
    const char *const *dirs =
        root->kind == ROOTFS_DIR ? (const char *const *)&root->dir : (const char *const *)root->lowers.items;
    size_t n = root->kind == ROOTFS_DIR ? 1 : root->lowers.n;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < names_n; k++) {
            own_mem char *path = mem_printf("%s%s", dirs[i], names[k]);
            struct stat st;
            if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
                return true;
        }
    return false;
}

/* OpenRC mounts a tmpfs on /run unless there is one. Its init stops all services at SIGTERM and ends by reboot(2),
 * which in a pid namespace of its own ends that alone, and asks for CAP_SYS_BOOT there. Source: reboot(2),
 * openrc-init(8). */
static void use_openrc(struct container_config *c)
{
    options_add_tmpfs(c, "/run", "755", NULL);
    if (strcmp(c->pid, "private") == 0 && !strv_has(&c->cap_add, "CAP_SYS_BOOT") &&
        !strv_has(&c->cap_drop, "CAP_SYS_BOOT") && !strv_has(&c->cap_drop, "ALL"))
        strv_add(&c->cap_add, "CAP_SYS_BOOT");
}

fallible container_find_init(struct container_config *c, const struct rootfs_source *root)
{
    const char *program = program_of(c);
    bool is_systemd = is_one_of(program, systemd_names, ARRAY_SIZE(systemd_names)) || strcmp(program, "systemd") == 0 ||
                      strcmp(program, "/usr/bin/systemd") == 0;
    bool is_init = is_one_of(program, init_names, ARRAY_SIZE(init_names));
    bool is_named = is_init && strcmp(program, "/init") != 0; /* else s6-overlay's */
    if (is_named && image_has(root, systemd_names, ARRAY_SIZE(systemd_names)))
        is_systemd = true;
    if (is_named && !is_systemd && image_has(root, openrc_names, ARRAY_SIZE(openrc_names)))
        use_openrc(c);
    if (c->init && (is_init || is_systemd))
        return err_new(ERR_INVALID,
                       "--init: the image's own '%s' is an init, and wants to be the first process: leave "
                       "--init out",
                       program);
    if (str_eq(c->systemd, "always") || (str_eq(c->systemd, "auto") && is_systemd))
        return container_use_systemd(c);
    free(c->systemd);
    c->systemd = NULL;
    return NULL;
}

/* An ordinary user's session (session-N.scope) is not the user's to divide; a scope of the user's own systemd is. */
static fallible choose_cgroup_manager(struct container_config *c)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"), *why = NULL;
    if (!engine_is_rootless() || c->cgroup_manager || c->cgroup_parent || !runtime)
        return NULL;
    own(cgroup_host) struct cgroup_host *host = NULL;
    TRY(cgroup_host_open(&host));
    own_mem char *systemd = mem_printf("%s/systemd/private", runtime);
    if (!cgroup_host_usable(host, &why) && access(systemd, W_OK) == 0)
        c->cgroup_manager = mem_strdup("systemd");
    return NULL;
}

fallible container_use_systemd(struct container_config *c)
{
    own_mem char *size = c->systemd_shm_bytes ? mem_printf("%lld", (long long)c->systemd_shm_bytes) : NULL;
    if (c->no_cgroup || strcmp(c->cgroupns, "host") == 0)
        return err_new(ERR_INVALID, "--systemd: it divides its control group, so it needs one and a cgroup namespace");
    TRY(choose_cgroup_manager(c));
    options_add_tmpfs(c, "/run", "755", size);
    options_add_tmpfs(c, "/run/lock", "1777", size);
    options_add_tmpfs(c, "/tmp", "1777", size);
    options_add_tmpfs(c, "/var/log/journal", "755", size);
    if (!c->stop_signal)
        c->stop_signal = mem_strdup("SIGRTMIN+3");
    free(c->systemd);
    c->systemd = mem_strdup("always");
    if (!strv_getenv(&c->env, "container"))
        strv_add(&c->env, "container=oci");
    return NULL;
}

/* Written into the container's own layer: a mounted file would be one that systemd tries to commit. */
fallible container_write_machine_id(const struct container *c)
{
    const struct container_config *k = c->config;
    own_mem char *text = mem_printf("%.32s\n", c->row.id);
    own_fd int layer = -1, etc = -1, file = -1;
    if (!k->systemd || (k->rootfs && !k->rootfs_overlay))
        return NULL;
    own_mem char *path = mem_printf("%s/%s", c->dir, str_eq(k->storage, "vfs") ? "fs" : "upper");
    TRY(fs_open_dir_at(AT_FDCWD, path, FS_MUST_EXIST, &layer));
    if (mkdirat(layer, "etc", 0755) < 0 && errno != EEXIST)
        return err_sys(errno, "make '%s/etc'", path);
    etc = openat(layer, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (etc < 0)
        return err_sys(errno, "open '%s/etc'", path);
    (void)unlinkat(etc, "machine-id", 0);
    file = openat(etc, "machine-id", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (file < 0)
        return err_sys(errno, "write '%s/etc/machine-id'", path);
    uid_t owner = (uid_t)k->userns_first;
    gid_t group = k->userns_first_gid ? (gid_t)k->userns_first_gid : owner;
    if (owner && (fchown(file, owner, group) < 0 || fchown(etc, owner, group) < 0))
        return err_sys(errno, "give '%s/etc' to the container", path);
    return fs_write_fd(file, text, strlen(text), "machine-id");
}
