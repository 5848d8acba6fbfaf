// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Images whose first program is an init of their own. systemd needs a tmpfs on /run, /run/lock and /tmp, a control
 * group that it may divide, SIGRTMIN+3 to end, and to know that it is in a container. s6-overlay and OpenRC need to be
 * PID 1. Source: systemd.io/CONTAINER_INTERFACE; podman-run(1), --systemd.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "engine/options_parts.h"

static const char *const init_names[] = { "/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init", "/init",
                                          "/sbin/openrc-init" };
static const char *const systemd_names[] = { "/lib/systemd/systemd", "/usr/lib/systemd/systemd" };

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

/* In any layer: a name of systemd's own is never a link that leads elsewhere. */
static bool image_has_systemd(const struct rootfs_source *root)
{
    const char *const *dirs =
        root->kind == ROOTFS_DIR ? (const char *const *)&root->dir : (const char *const *)root->lowers.items;
    size_t n = root->kind == ROOTFS_DIR ? 1 : root->lowers.n;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_SIZE(systemd_names); k++) {
            own_mem char *path = mem_printf("%s%s", dirs[i], systemd_names[k]);
            struct stat st;
            if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
                return true;
        }
    return false;
}

fallible container_find_init(struct container_config *c, const struct rootfs_source *root)
{
    const char *program = program_of(c);
    bool is_systemd = is_one_of(program, systemd_names, ARRAY_SIZE(systemd_names)) || strcmp(program, "systemd") == 0 ||
                      strcmp(program, "/usr/bin/systemd") == 0;
    bool is_init = is_one_of(program, init_names, ARRAY_SIZE(init_names));
    if (is_init && strcmp(program, "/init") != 0 && image_has_systemd(root))
        is_systemd = true;
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

fallible container_use_systemd(struct container_config *c)
{
    own_mem char *size = c->systemd_shm_bytes ? mem_printf("%lld", (long long)c->systemd_shm_bytes) : NULL;
    if (c->no_cgroup || strcmp(c->cgroupns, "host") == 0)
        return err_new(ERR_INVALID, "--systemd: it divides its control group, so it needs one and a cgroup namespace");
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
