// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A new container with what another was made with: its configuration and its wishes about networks and ports, not what
 * it wrote. What two cannot have is left out: fixed addresses, files with a process's number, anonymous volumes (new
 * ones are made), ids of its own (--userns auto takes others).
 */
#include <string.h>

#include "engine/clone.h"
#include "engine/container_parts.h"
#include "engine/pod.h"
#include "engine/storage.h"

static void drop(char **text)
{
    free(*text);
    *text = NULL;
}

static void drop_strv(struct strv *v)
{
    strv_free(v);
    *v = (struct strv){ 0 };
}

static fallible copy_config(const struct container *from, struct container_config **ret)
{
    void *copy = NULL;
    TRY(bind_read(&container_config_type, from->row.config, strlen(from->row.config), &copy));
    *ret = copy;
    return NULL;
}

/* Who has taken its place; NULL: nobody. */
static const char *instead_of(const struct create_options *o, const char *id)
{
    return o->clone_ids && id ? strmap_get(o->clone_ids, id) : NULL;
}

static void leave_out(struct container_config *c, const struct create_options *o)
{
    drop(&c->pidfile);
    drop(&c->monitor_pidfile);
    drop(&c->storage);
    c->storage_project = 0;
    for (size_t i = 0; i < c->mounts_n; i++)
        if (c->mounts[i].anonymous) {
            const char *shared = instead_of(o, c->mounts[i].source); /* made anew for another of the pod */
            char *source = mem_strdup(shared);
            drop(&c->mounts[i].source);
            c->mounts[i].source = source;
        }
    if (!str_eq(c->userns, "auto"))
        return;
    c->userns_first = c->userns_first_gid = c->userns_size = 0;
    drop_strv(&c->uid_map);
    drop_strv(&c->gid_map);
}

/* In a pod that is cloned whole: what named one of the old pod's containers names that one's clone. */
static void rename_others(struct container_config *c, const struct create_options *o)
{
    static const char joined[] = "container:";
    char **const modes[] = { &c->network, &c->ipc, &c->pid, &c->uts, &c->userns };
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        const char *to = str_starts(*modes[i], joined) ? instead_of(o, *modes[i] + strlen(joined)) : NULL;
        if (to) {
            free(*modes[i]);
            *modes[i] = mem_printf("%s%s", joined, to);
        }
    }
    for (size_t i = 0; i < c->requires.n; i++) {
        const char *to = instead_of(o, c->requires.items[i]);
        if (to) {
            free(c->requires.items[i]);
            c->requires.items[i] = mem_strdup(to);
        }
    }
}

static fallible take_limits(struct container_config *c, const struct create_options *o)
{
    own(container_config) struct container_config *said = mem_zalloc(sizeof *said);
    struct create_options wish = *o;
    if (wish.memory_swap.set && !wish.memory.set && c->resources)
        wish.memory = c->resources->memory; /* the two are checked together */
    TRY(options_merge_limits(&wish, said));
    if (!c->resources)
        c->resources = mem_zalloc(sizeof *c->resources);
    return container_merge_limits(c->resources, said->resources);
}

fallible clone_configure(struct container *c, const struct create_options *o, const struct image *image)
{
    TRY(copy_config(o->clone_of, &c->config));
    if (c->config->infra && !o->infra_of)
        return err_new(ERR_CONFLICT, "container '%s' holds the namespaces of its pod: clone that with `husk pod clone`",
                       o->clone_of->row.name);
    leave_out(c->config, o);
    rename_others(c->config, o);
    if (o->hostname) {
        drop(&c->config->hostname);
        c->config->hostname = mem_strdup(o->hostname);
    }
    if (o->member_of) {
        drop(&c->config->pod_cgroup);
        TRY(pod_join(o->member_of, c->config));
    }
    if (image && c->config->rootfs)
        return err_new(ERR_INVALID, "container '%s' has a directory as its root, and no image to exchange",
                       o->clone_of->row.name);
    if (image) {
        drop_strv(&c->config->layers);
        strv_copy(&c->config->layers, image->config->rootfs->diff_ids.items, image->config->rootfs->diff_ids.n);
    }
    return take_limits(c->config, o);
}

fallible clone_name(struct engine *e, const char *name, char **ret)
{
    for (unsigned i = 0;; i++) {
        own(container) struct container *taken = NULL;
        own_mem char *wish = i ? mem_printf("%s-clone%u", name, i) : mem_printf("%s-clone", name);
        err *missing = container_find(e, wish, &taken);
        if (err_is(missing, ERR_NOT_FOUND)) {
            err_free(missing);
            *ret = take(wish);
            return NULL;
        }
        TRY(missing);
    }
}

fallible clone_networks(const struct container *from, struct network_wishes *ret)
{
    struct db *db;
    TRY(engine_db(from->engine, &db));
    TRY(db_endpoint_list(db, from->row.id, NULL, &ret->networks));
    TRY(db_port_list(db, from->row.id, &ret->ports));
    for (size_t i = 0; i < ret->networks.n; i++) {
        struct db_endpoint *e = &ret->networks.items[i];
        e->want_ip4 = e->want_ip6 = e->ip4 = e->ip6 = (struct ip){ 0 };
        drop(&e->want_mac);
    }
    for (size_t i = 0; i < ret->ports.n; i++)
        ret->ports.items[i].host_port = 0;
    return NULL;
}
