// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/depend.h"

#include <string.h>

#include "engine/pod.h"

static bool depends_on(const struct container_config *c, const char *id)
{
    const char *const modes[] = { c->network, c->pid, c->ipc, c->uts, c->userns, c->cgroupns };
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
        if (modes[i] && str_starts(modes[i], "container:") && strcmp(modes[i] + strlen("container:"), id) == 0)
            return true;
    return strv_has(&c->requires, id);
}

/* Who depends was made later, so there is no circle. */
static fallible add(const struct container_list *all, const char *id, struct strv *ret)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct container_config *config;
        TRY(container_config(all->items[i], &config));
        if (!strv_has(ret, all->items[i]->row.id) && depends_on(config, id))
            TRY(add(all, all->items[i]->row.id, ret));
    }
    strv_add(ret, id);
    return NULL;
}

fallible container_dependents(struct engine *e, const char *id, struct strv *ret)
{
    struct container_list all = { 0 };
    own_strv struct strv ids = { 0 };
    TRY(container_list(e, &(struct list_options){ .all = true }, &all));
    err *failed = add(&all, id, &ids);
    container_list_clear(&all);
    TRY(failed);
    *ret = ids;
    ids = (struct strv){ 0 };
    return NULL;
}

/* The pod that it is the infra of; NULL: of none, or of one that is gone. */
static fallible pod_of_infra(struct container *c, struct pod **ret)
{
    const struct container_config *config;
    *ret = NULL;
    TRY(container_config(c, &config));
    if (!c->row.pod || !config->infra)
        return NULL;
    err *e = pod_find(c->engine, c->row.pod, ret);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return NULL;
}

static fallible may_pod_go(const struct pod *p)
{
    own(pod_members) struct pod_members m = { 0 };
    TRY(pod_members(p, &m));
    for (size_t i = 0; i < m.n; i++)
        if (m.states[i].status != CONTAINER_CREATED && m.states[i].status != CONTAINER_EXITED)
            return err_new(ERR_CONFLICT, "container '%s' is running: stop pod '%s' first, or use --force",
                           m.items[i]->row.name, p->row.name);
    return NULL;
}

fallible container_may_go_with(struct engine *e, const struct strv *ids, bool force)
{
    for (size_t i = 0; i < ids->n; i++) {
        own(container) struct container *c = NULL;
        own(pod) struct pod *p = NULL;
        struct removal r = { 0 };
        TRY(container_find(e, ids->items[i], &c));
        TRY(pod_of_infra(c, &p));
        if (p && !force)
            TRY(may_pod_go(p));
        if (!p)
            TRY(container_removal(c, force, false, &r));
    }
    return NULL;
}

fallible container_remove_any(struct container *c, const struct remove_options *o)
{
    own(pod) struct pod *p = NULL;
    TRY(pod_of_infra(c, &p));
    return p ? pod_remove(p, o) : container_remove(c, o);
}
