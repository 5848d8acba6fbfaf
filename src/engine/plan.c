// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cgroup/cgroup.h"
#include "engine/container_mount.h"
#include "engine/container_parts.h"
#include "engine/image_mount.h"
#include "engine/link.h"
#include "engine/userns.h"
#include "os/ids.h"

/* The first process of the container in "container:ID". */
static fallible join_pid(struct engine *e, const char *option, const char *mode, pid_t *ret)
{
    own(container) struct container *other = NULL;
    struct container_state s = { 0 };
    *ret = 0;
    if (!str_starts(mode, "container:"))
        return NULL;
    TRY_AS(container_find(e, mode + strlen("container:"), &other), "%s", option);
    TRY(container_state(other, &s));
    bool runs = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED;
    *ret = s.init.pid;
    container_state_clear(&s);
    if (!runs)
        return err_new(ERR_CONFLICT, "%s: container '%s' is not running", option, other->row.name);
    return NULL;
}

static fallible userns_maps(const struct container_config *c, bool joins, struct id_map *uids, struct id_map *gids)
{
    bool rootless = engine_is_rootless();
    if (strcmp(c->userns, "host") == 0) {
        if (rootless)
            return err_new(ERR_DENIED,
                           "--userns host: an ordinary user's container needs a user namespace: run as root");
        return NULL;
    }
    if (joins && rootless) /* it lives in the joined container's */
        return c->uid_map.n ? userns_maps_of(c, uids, gids) : NULL;
    if (c->uid_map.n || (!rootless && c->userns_first))
        return userns_maps_of(c, uids, gids);
    if (!rootless || str_starts(c->userns, "ns:"))
        return NULL;
    own_mem char *note = NULL;
    TRY(ids_rootless_maps(uids, gids, &note));
    if (note)
        log_debug("user namespace: %s", note);
    return NULL;
}

/* An ordinary user has them where they were delegated. */
static bool has_cgroups(void)
{
    own(cgroup_host) struct cgroup_host *host = NULL;
    const char *why = NULL;
    err *e = cgroup_host_open(&host);
    if (e) {
        err_ignore(e, "without cgroups there are no default limits");
        return false;
    }
    return cgroup_host_usable(host, &why);
}

struct lists {
    struct strv *items;
    size_t n;
};
static void own_drop_lists(struct lists *l)
{
    for (size_t i = 0; i < l->n; i++)
        strv_free(&l->items[i]);
    free(l->items);
}

static fallible make_spec(struct container *c, const struct rootfs_source *root, enum plan_limits limits,
                          struct oci_spec **ret)
{
    const struct container_config *config;
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    own_mem char *volumes = mem_printf("%s/volumes", c->engine->root);
    struct spec_input in = {
        .id = c->row.id, .root = root, .dir = c->state_dir, .volumes = volumes, .folder = c->dir, .run = c->engine->run
    };
    TRY(container_config(c, &config));
    in.config = config;
    TRY(join_pid(c->engine, "--network", config->network, &in.join_network));
    TRY(join_pid(c->engine, "--pid", config->pid, &in.join_pid));
    TRY(join_pid(c->engine, "--ipc", config->ipc, &in.join_ipc));
    TRY(join_pid(c->engine, "--uts", config->uts, &in.join_uts));
    bool joins = in.join_network || in.join_pid || in.join_ipc || in.join_uts;
    /* Root joins another's user namespace with its processes and its queues, which belong to it. */
    bool with_user =
        (in.join_pid && str_eq(config->userns, config->pid)) || (in.join_ipc && str_eq(config->userns, config->ipc));
    if (!with_user)
        TRY(userns_maps(config, joins, &uids, &gids));
    in.join_user = (joins && (engine_is_rootless() || with_user)) || str_starts(config->userns, "ns:");
    in.limits = limits == PLAN_LIMITS && !config->no_cgroup &&
                (!engine_is_rootless() || config->cgroup_manager || has_cgroups());
    if (uids.n) {
        in.uids = &uids;
        in.gids = &gids;
    }
    own(lists) struct lists images = { mem_zalloc((config->mounts_n + 1) * sizeof(struct strv)), config->mounts_n };
    for (size_t i = 0; i < config->mounts_n; i++)
        if (strcmp(config->mounts[i].type, "image") == 0)
            TRY_AS(image_mount_lowers(c->engine, &config->mounts[i], &images.items[i]), "mount '%s'",
                   config->mounts[i].target);
    in.image_lowers = images.items;
    return spec_make(&in, ret);
}

void container_plan_clear(struct container_plan *p)
{
    oci_spec_free(p->spec);
    rootfs_source_free(&p->root);
    free(p->seccomp_cache);
    container_network_clear(&p->network);
    strv_free(&p->pasta);
    close_now(&p->mounts_user_fd);
    close_now(&p->files_user_fd);
    *p = CONTAINER_PLAN_NONE;
}

/* A user namespace with the default map, in which a shifted container's own is, or will be, made. */
static fallible open_outer(struct container *c, struct container_plan *p)
{
    const struct container_config *k = c->config;
    const char *const modes[] = { k->network, k->pid, k->uts };
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    own_mem char *note = NULL;
    pid_t joined = 0;
    if (!userns_is_shifted(k))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(modes) && !joined; i++)
        TRY(join_pid(c->engine, "join", modes[i], &joined));
    if (joined)
        return usernet_parent_of(joined, &p->mounts_user_fd);
    if (c->engine->usernet && p->network.plan.links_n) {
        p->mounts_user_fd = fcntl(c->engine->usernet->user_fd, F_DUPFD_CLOEXEC, 0);
        return p->mounts_user_fd < 0 ? err_sys(errno, "keep the user namespace of the user's networks") : NULL;
    }
    TRY(ids_rootless_maps(&uids, &gids, &note));
    return source_userns(&uids, &gids, &p->mounts_user_fd);
}

fallible container_plan(struct container *c, enum plan_limits limits, enum plan_network network,
                        struct container_plan *ret)
{
    const struct container_config *config;
    const char *record_dir;
    struct container_plan p = CONTAINER_PLAN_NONE;
    TRY(container_config(c, &config));
    TRY(container_record_dir(c, &record_dir));
    TRY(container_root(c, &p.root));
    err *e = container_mounted_root(c, &p.root);
    if (!e)
        e = make_spec(c, &p.root, limits, &p.spec);
    if (!e)
        e = network == PLAN_NETWORK_MAKE ? network_prepare(c, &p.network) : network_look(c, &p.network);
    if (!e && network == PLAN_NETWORK_MAKE && config->links.n)
        e = link_environment(c, p.spec);
    if (!e)
        e = userns_shift(config, &p.root);
    if (!e)
        e = open_outer(c, &p);
    if (e) {
        container_plan_clear(&p);
        return e;
    }
    p.seccomp_cache = mem_printf("%s/seccomp", c->engine->run);
    bool by_pasta = network_pasta(config->network, &p.pasta);
    strv_copy(&p.pasta, p.network.pasta.items, p.network.pasta.n);
    *ret = p;
    ret->create = (struct runtime_create){
        .id = c->row.id,
        .bundle = record_dir,
        .state_dir = c->state_dir,
        .staging = c->dir, /* the state_dir has files that are bound into it */
        .spec = ret->spec,
        .cni = ret->network.cni,
        .pasta = by_pasta ? &ret->pasta : NULL,
        .network = ret->network.plan.links_n ? &ret->network.plan : NULL,
        .parent_user_fd = ret->mounts_user_fd >= 0                          ? &ret->mounts_user_fd
                          : c->engine->usernet && ret->network.plan.links_n ? &c->engine->usernet->user_fd
                                                                            : NULL,
        .mounts_user_fd = ret->mounts_user_fd >= 0 ? &ret->mounts_user_fd : NULL,
        .root = &ret->root,
        .cgroup = config->no_cgroup        ? RUNTIME_CGROUP_NONE
                  : config->cgroup_manager ? RUNTIME_CGROUP_SYSTEMD
                                           : RUNTIME_CGROUP_AUTO,
        .preserve_fds = c->preserve_fds,
        .cgroup_optional = !spec_wants_cgroup(config),
        .seccomp_cache_dir = ret->seccomp_cache,
        .stdio = { -1, -1, -1 },
        .console_sock = -1,
        .init = config->init,
        .detach_session = true,
    };
    return NULL;
}
