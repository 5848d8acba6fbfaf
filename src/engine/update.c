// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Limits of a container that exists: in its configuration for the next start, and in its control group at once. The
 * group first: a limit that the kernel refuses leaves both as they were.
 */
#include <string.h>

#include "cgroup/cgroup.h"
#include "engine/container_parts.h"
#include "engine/spec_parts.h"

static void take_i64(struct opt_i64 *to, struct opt_i64 from)
{
    if (from.set)
        *to = from;
}

static void take_text(char **to, const char *from)
{
    if (!from)
        return;
    free(*to);
    *to = *from ? mem_strdup(from) : NULL;
}

/* What was said, over what was. */
static void merge(struct container_resources *to, const struct container_resources *said)
{
    take_i64(&to->memory, said->memory);
    take_i64(&to->memory_swap, said->memory_swap);
    take_i64(&to->memory_reservation, said->memory_reservation);
    take_i64(&to->memory_swappiness, said->memory_swappiness);
    take_i64(&to->cpu_period, said->cpu_period);
    take_i64(&to->cpu_quota, said->cpu_quota);
    take_i64(&to->cpu_shares, said->cpu_shares);
    take_i64(&to->pids_limit, said->pids_limit);
    take_text(&to->cpuset_cpus, said->cpuset_cpus);
    take_text(&to->cpuset_mems, said->cpuset_mems);
}

static bool says_nothing(const struct container_resources *r)
{
    return !r->memory.set && !r->memory_swap.set && !r->memory_reservation.set && !r->memory_swappiness.set &&
           !r->cpu_period.set && !r->cpu_quota.set && !r->cpu_shares.set && !r->pids_limit.set && !r->cpuset_cpus &&
           !r->cpuset_mems;
}

static fallible check(const struct container_resources *r)
{
    if (r->memory.set && r->memory.v > 0 && r->memory_swap.set && r->memory_swap.v > 0 &&
        r->memory_swap.v < r->memory.v)
        return err_new(ERR_INVALID,
                       "--memory: more than memory and swap together, which were set to %lld bytes: give --memory-swap "
                       "as well",
                       (long long)r->memory_swap.v);
    if (r->memory.set && r->memory.v > 0 && r->memory_reservation.set && r->memory_reservation.v > r->memory.v)
        return err_new(ERR_INVALID,
                       "--memory: less than the reservation, %lld bytes: give --memory-reservation as well",
                       (long long)r->memory_reservation.v);
    return NULL;
}

static fallible apply(const struct container *c, const struct container_resources *r)
{
    own(runtime_state) struct runtime_state *state = NULL;
    own(cgroup_host) struct cgroup_host *host = NULL;
    own(cgroup) struct cgroup *group = NULL;
    TRY(runtime_state_read(c->state_dir, &state));
    if (!state->cgroup_path)
        return err_new(ERR_UNSUPPORTED,
                       "container '%s' was started without a control group, so it cannot be limited while it runs: "
                       "stop it first, or run it as root",
                       c->row.name);
    struct oci_spec spec = { 0 };
    struct oci_linux l = { 0 };
    spec.linux_ = &l;
    struct container_config config = { .resources = (struct container_resources *)r };
    err *e = spec_add_resources(&(struct spec_input){ .config = &config }, &spec);
    if (!e)
        e = cgroup_host_open(&host);
    if (!e)
        e = cgroup_open(host, state->cgroup_path, &group);
    if (!e && l.resources)
        e = cgroup_update(group, l.resources);
    bind_free(&oci_resources_type, l.resources);
    return e;
}

static fallible store(struct container *c)
{
    struct db *db;
    own_mem char *text = bind_write(&container_config_type, c->config, BIND_COMPACT);
    TRY(engine_db(c->engine, &db));
    TRY(db_container_set_config(db, c->row.id, text));
    free(c->row.config);
    c->row.config = take(text);
    return NULL;
}

/* A copy, by way of its own text. */
static fallible copy_config(struct container *c, struct container_config **ret)
{
    void *copy = NULL;
    TRY(bind_read(&container_config_type, c->row.config, strlen(c->row.config), &copy));
    *ret = copy;
    return NULL;
}

static fallible update_locked(struct container *c, const struct container_resources *said, const char *restart,
                              bool runs)
{
    const struct container_config *unused;
    own(container_config) struct container_config *before = NULL;
    TRY(container_config(c, &unused));
    TRY(copy_config(c, &before));
    if (!c->config->resources)
        c->config->resources = mem_zalloc(sizeof *c->config->resources);
    merge(c->config->resources, said);
    TRY(check(c->config->resources));
    if (restart)
        TRY(options_merge_restart(restart, &c->config->restart));
    err *e = runs && !says_nothing(said) ? apply(c, said) : NULL;
    if (!e)
        e = store(c);
    if (!e)
        return NULL;
    if (runs && before->resources && !says_nothing(said))
        err_ignore(apply(c, before->resources), "as it was; the first error says what went wrong");
    container_config_free(c->config);
    c->config = take(before);
    return e;
}

fallible container_update(struct container *c, const struct create_options *o)
{
    struct container_state s = { 0 };
    own(container_config) struct container_config *said = mem_zalloc(sizeof *said);
    const struct container_config *config;
    struct create_options wish = *o; /* borrowed lists and all */
    TRY(container_config(c, &config));
    if (wish.memory_swap.set && !wish.memory.set && config->resources)
        wish.memory = config->resources->memory; /* the two are checked together */
    TRY(options_merge_limits(&wish, said));
    if (says_nothing(said->resources) && !o->restart)
        return err_new(ERR_INVALID,
                       "nothing to change was named: give a limit, such as --memory or --cpus, or --restart");
    if (o->restart)
        TRY(options_merge_restart(o->restart, &said->restart));
    if (said->restart && config->auto_remove)
        return err_new(ERR_INVALID, "--restart: container '%s' is removed when it ends", c->row.name);
    TRY(container_lock(c));
    TRY(container_state(c, &s));
    enum container_status status = s.status;
    container_state_clear(&s);
    TRY(update_locked(c, said->resources, o->restart, status == CONTAINER_RUNNING || status == CONTAINER_PAUSED));
    if (o->restart)
        TRY(container_set_restart(c, o->restart));
    container_unlock(c);
    container_say(c, "update", NULL);
    return NULL;
}
