// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "engine/clone.h"
#include "engine/container_parts.h"
#include "engine/grammar.h"
#include "engine/pod_parts.h"
#include "os/fault.h"

/* The group around its members' is its own, beside the other's or where --cgroup-parent says. */
static void place_group(struct pod *p, const char *parent)
{
    struct pod_config *c = p->config;
    if (!c->cgroup)
        return;
    const char *slash = strrchr(c->cgroup, '/');
    own_mem char *beside = mem_strndup(c->cgroup, slash ? (size_t)(slash - c->cgroup) : 0);
    free(c->cgroup);
    c->cgroup = mem_printf("%s/pod-%s", parent ? parent : beside, p->row.id);
}

static fallible take_limits(struct pod *p, const struct create_options *o)
{
    own(container_config) struct container_config *said = mem_zalloc(sizeof *said);
    struct pod_config *c = p->config;
    struct create_options wish = *o;
    if (wish.memory_swap.set && !wish.memory.set && c->resources)
        wish.memory = c->resources->memory; /* the two are checked together */
    TRY(options_merge_limits(&wish, said));
    place_group(p, said->cgroup_parent);
    if (!pod_says_limits(o))
        return NULL;
    if (!c->cgroup)
        return err_new(ERR_INVALID, "the pod has no control group for all of it (--share-parent=false) that could be "
                                    "limited");
    if (!c->resources)
        c->resources = mem_zalloc(sizeof *c->resources);
    return container_merge_limits(c->resources, said->resources);
}

static fallible configure(struct pod *p, const struct pod *from, const struct create_options *o)
{
    void *copy = NULL;
    TRY(bind_read(&pod_config_type, from->row.config, strlen(from->row.config), &copy));
    p->config = copy;
    for (size_t i = 0; i < o->label_file.n; i++)
        TRY_AS(grammar_label_file(o->label_file.items[i], &p->config->labels), "--label-file");
    for (size_t i = 0; i < o->label.n; i++)
        TRY_AS(grammar_label(o->label.items[i], &p->config->labels), "--label");
    if (o->hostname && !strv_has(&p->config->share, "uts"))
        return err_new(ERR_INVALID, "--hostname: the containers of '%s' do not share a host name", from->row.name);
    TRY(take_limits(p, o));
    p->row.config = bind_write(&pod_config_type, p->config, BIND_COMPACT);
    return NULL;
}

/* "NAME-clone", or the next that is free. */
static fallible choose_name(struct pod *p, const struct pod *from, const char *wish)
{
    struct db *db;
    TRY(engine_db(p->engine, &db));
    if (wish) {
        TRY(pod_name(p->engine, wish, &p->row.name));
        return pod_name_is_free(db, wish);
    }
    for (unsigned i = 0;; i++) {
        free(p->row.name);
        p->row.name = i ? mem_printf("%s-clone%u", from->row.name, i) : mem_printf("%s-clone", from->row.name);
        err *taken = pod_name_is_free(db, p->row.name);
        if (!err_is(taken, ERR_EXISTS))
            return taken;
        err_free(taken);
    }
}

/* What the next ones are to name instead: it, and the volumes that were made for it. */
static void note(const struct container *from, const struct container *made, struct strmap *ids)
{
    strmap_set(ids, from->row.id, made->row.id);
    for (size_t i = 0; i < from->config->mounts_n && i < made->config->mounts_n; i++)
        if (from->config->mounts[i].anonymous && from->config->mounts[i].source)
            strmap_set(ids, from->config->mounts[i].source, made->config->mounts[i].source);
}

static fallible clone_one(struct pod *p, const struct create_options *o, struct strmap *ids)
{
    own(container) struct container *made = NULL;
    TRY_AS(container_create(p->engine, o, NULL, 0, &made), "container '%s'", o->clone_of->row.name);
    container_keep(made);
    note(o->clone_of, made, ids);
    fault_here(FAULT_POD_MADE);
    return NULL;
}

static fallible clone_infra(struct pod *p, const struct pod *from, const struct create_options *said,
                            const char *infra_name, const struct container *infra, struct strmap *ids)
{
    own_mem char *name = infra_name ? mem_strdup(infra_name) : mem_printf("%.12s-infra", p->row.id);
    bool named = str_eq(infra->config->hostname, from->row.name); /* as the pod is, since nobody said otherwise */
    struct create_options o = { .name = name,
                                .clone_of = infra,
                                .clone_ids = ids,
                                .infra_of = p,
                                .hostname = said->hostname ? said->hostname
                                            : named        ? p->row.name
                                                           : NULL };
    return clone_one(p, &o, ids);
}

static fallible clone_member(struct pod *p, const struct container *member, struct strmap *ids)
{
    own_mem char *name = NULL;
    TRY(clone_name(p->engine, member->row.name, &name));
    struct create_options o = { .name = name, .clone_of = member, .clone_ids = ids, .member_of = p };
    return clone_one(p, &o, ids);
}

/* The pod's row is there with its infra, or first. */
static fallible clone_all(struct pod *p, const struct pod *from, const struct create_options *o, const char *infra_name,
                          const struct pod_members *m)
{
    struct strmap ids = { 0 };
    struct db *db;
    TRY(engine_db(p->engine, &db));
    err *e = m->infra ? clone_infra(p, from, o, infra_name, m->items[0], &ids) : db_pod_add(db, &p->row);
    for (size_t i = m->infra ? 1 : 0; i < m->n && !e; i++)
        e = clone_member(p, m->items[i], &ids);
    strmap_free(&ids);
    return e;
}

fallible pod_clone(const struct pod *from, const struct create_options *o, const char *infra_name, struct pod **ret)
{
    own(pod) struct pod *p = mem_zalloc(sizeof *p);
    own(pod_members) struct pod_members m = { 0 };
    pod_begin(from->engine, p);
    TRY(choose_name(p, from, o->name));
    TRY(configure(p, from, o));
    TRY(pod_members(from, &m));
    if (infra_name && !m.infra)
        return err_new(ERR_INVALID, "--infra-name: pod '%s' has no infra", from->row.name);
    err *failed = clone_all(p, from, o, infra_name, &m);
    own(pod) struct pod *made = NULL;
    if (failed && !pod_find(p->engine, p->row.id, &made))
        err_ignore(pod_remove(made, &(struct remove_options){ .force = true }), "the first error says what went wrong");
    TRY(failed);
    engine_settle(p->engine, NULL);
    pod_say(p, "create");
    *ret = take(p);
    return NULL;
}
