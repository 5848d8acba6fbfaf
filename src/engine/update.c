// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a container that exists is to have from now on: limits, in its configuration for the next start and in its
 * control group at once (the group first: a limit that the kernel refuses leaves both as they were); its health check,
 * which is read anew at each probe; variables and ulimits, which a program gets when it starts.
 */
#include <string.h>

#include "cgroup/cgroup.h"
#include "engine/container_parts.h"
#include "engine/grammar.h"
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

/* "/dev/sda:1mb": one for each device. */
static const size_t device_lists[] = {
    offsetof(struct container_resources, blkio_weight_device), offsetof(struct container_resources, device_read_bps),
    offsetof(struct container_resources, device_write_bps),    offsetof(struct container_resources, device_read_iops),
    offsetof(struct container_resources, device_write_iops),
};

static struct strv *list_at(struct container_resources *r, size_t i)
{
    return (struct strv *)((char *)r + device_lists[i]);
}

/* A device that is named again gets the new rate. */
static void merge_list(struct strv *to, const struct strv *said)
{
    struct strv kept = { 0 };
    for (size_t i = 0; i < to->n; i++) {
        size_t n = (size_t)(strrchr(to->items[i], ':') - to->items[i]) + 1;
        bool again = false;
        for (size_t k = 0; k < said->n; k++)
            again |= strncmp(to->items[i], said->items[k], n) == 0;
        if (!again)
            strv_add(&kept, to->items[i]);
    }
    strv_copy(&kept, said->items, said->n);
    strv_free(to);
    *to = kept;
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
    take_i64(&to->blkio_weight, said->blkio_weight);
    take_i64(&to->cpu_rt_period, said->cpu_rt_period);
    take_i64(&to->cpu_rt_runtime, said->cpu_rt_runtime);
    for (size_t i = 0; i < ARRAY_SIZE(device_lists); i++)
        merge_list(list_at(to, i), list_at((struct container_resources *)said, i));
    take_text(&to->cpuset_cpus, said->cpuset_cpus);
    take_text(&to->cpuset_mems, said->cpuset_mems);
}

static bool says_nothing(const struct container_resources *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(device_lists); i++)
        if (list_at((struct container_resources *)r, i)->n)
            return false;
    return !r->blkio_weight.set && !r->cpu_rt_period.set && !r->cpu_rt_runtime.set && !r->memory.set &&
           !r->memory_swap.set && !r->memory_reservation.set && !r->memory_swappiness.set && !r->cpu_period.set &&
           !r->cpu_quota.set && !r->cpu_shares.set && !r->pids_limit.set && !r->cpuset_cpus && !r->cpuset_mems;
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

fallible container_merge_limits(struct container_resources *to, const struct container_resources *said)
{
    merge(to, said);
    return check(to);
}

/* pids: its limit is among them, if only that which every container has. */
static fallible apply(const struct container *c, const struct container_resources *r, bool pids)
{
    own(runtime_state) struct runtime_state *state = NULL;
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
    err *e = spec_add_resources(&(struct spec_input){ .config = &config, .limits = pids }, &spec);
    if (!e)
        e = cgroup_find(state->cgroup_path, &group);
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

/* What was is to the new words what an image's check is to those of a new container. */
static fallible merge_health(struct container_config *c, const struct health_options *said)
{
    struct container_health *merged = NULL;
    bool ends = said->none || str_eq(said->cmd, "none");
    struct oci_healthcheck before = { 0 };
    struct oci_image_run image = { .healthcheck = c->health && !ends ? &before : NULL };
    struct health_options o = *said;
    if (!options_says_health(said))
        return NULL;
    if (c->health && !ends) {
        before = (struct oci_healthcheck){ .test = c->health->test,
                                           .interval = c->health->interval_ns,
                                           .timeout = c->health->timeout_ns,
                                           .start_period = c->health->start_period_ns,
                                           .start_interval = c->health->start_interval_ns,
                                           .retries = c->health->retries };
        image.shell = c->health->shell;
        if (!c->health->interval_ns && !o.interval)
            o.interval = "disable";
        if (!o.on_unhealthy && !o.on_failure)
            o.on_unhealthy = c->health->on_unhealthy;
    }
    TRY(options_merge_health(&o, &image, ends ? NULL : c->health, &merged));
    container_health_free(c->health);
    c->health = merged;
    return NULL;
}

static fallible merge_env(struct container_config *c, const struct create_options *said)
{
    own_strv struct strv words = { 0 };
    struct strv kept = { 0 };
    for (size_t i = 0; i < said->env.n; i++)
        TRY_AS(grammar_env(said->env.items[i], &words), "--env");
    for (size_t i = 0; i < c->env.n; i++) {
        size_t n = strcspn(c->env.items[i], "=");
        bool unset = false;
        for (size_t k = 0; k < said->unsetenv.n; k++)
            unset |= strlen(said->unsetenv.items[k]) == n && strncmp(c->env.items[i], said->unsetenv.items[k], n) == 0;
        if (!unset)
            strv_add(&kept, c->env.items[i]);
    }
    for (size_t i = 0; i < words.n; i++)
        strv_setenv(&kept, words.items[i]);
    strv_free(&c->env);
    c->env = kept;
    return NULL;
}

static fallible merge_ulimits(struct container_config *c, const struct strv *said)
{
    for (size_t i = 0; i < said->n; i++) {
        struct container_ulimit u = { 0 };
        size_t at = 0;
        TRY_AS(grammar_ulimit(said->items[i], &u), "--ulimit");
        while (at < c->ulimits_n && strcmp(c->ulimits[at].name, u.name) != 0)
            at++;
        if (at == c->ulimits_n) {
            c->ulimits = mem_array(c->ulimits, c->ulimits_n + 1, sizeof *c->ulimits);
            c->ulimits_n++;
        } else {
            free(c->ulimits[at].name);
        }
        c->ulimits[at] = u;
    }
    return NULL;
}

static fallible merge_words(struct container_config *c, const struct create_options *said)
{
    if (said->restart)
        TRY(options_merge_restart(said->restart, &c->restart));
    TRY(merge_health(c, &said->health));
    TRY(merge_env(c, said));
    return merge_ulimits(c, &said->ulimit);
}

/* What was, and no limit where there was none. Borrowed from both. */
static struct container_resources way_back(const struct container_resources *before,
                                           const struct container_resources *said)
{
    static const struct opt_i64 none = { true, -1 }, even = { true, 1024 };
    struct container_resources r = before ? *before : (struct container_resources){ 0 };
    if (said->memory.set && !r.memory.set)
        r.memory = none;
    if (said->memory_swap.set && !r.memory_swap.set)
        r.memory_swap = none;
    if (said->memory_reservation.set && !r.memory_reservation.set)
        r.memory_reservation = none;
    if (said->cpu_quota.set && !r.cpu_quota.set)
        r.cpu_quota = none;
    if (said->cpu_shares.set && !r.cpu_shares.set)
        r.cpu_shares = even;
    return r;
}

static fallible update_locked(struct container *c, const struct container_resources *said,
                              const struct create_options *words, bool runs)
{
    const struct container_config *unused;
    own(container_config) struct container_config *before = NULL;
    TRY(container_config(c, &unused));
    TRY(copy_config(c, &before));
    if (!c->config->resources)
        c->config->resources = mem_zalloc(sizeof *c->config->resources);
    merge(c->config->resources, said);
    err *e = check(c->config->resources);
    if (!e)
        e = merge_words(c->config, words);
    bool merged = !e;
    if (!e && runs && !says_nothing(said))
        e = apply(c, said, said->pids_limit.set);
    if (!e)
        e = store(c);
    if (!e)
        return NULL;
    if (merged && runs && !says_nothing(said)) {
        struct container_resources was = way_back(before->resources, said);
        err_ignore(apply(c, &was, said->pids_limit.set), "as it was; the first error says what went wrong");
    }
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
    if (wish.memory.set && wish.memory.v == 0) /* as at 'create': no limit */
        wish.memory.v = -1;
    if (wish.cpus && strspn(wish.cpus, "0.") == strlen(wish.cpus)) {
        wish.cpus = NULL;
        wish.cpu_quota = (struct opt_i64){ true, -1 };
    }
    if (wish.memory_swap.set && !wish.memory.set && config->resources)
        wish.memory = config->resources->memory; /* the two are checked together */
    TRY(options_merge_limits(&wish, said));
    if (says_nothing(said->resources) && !o->restart && !options_says_health(&o->health) && !o->env.n &&
        !o->unsetenv.n && !o->ulimit.n)
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
    TRY(update_locked(c, said->resources, o, status == CONTAINER_RUNNING || status == CONTAINER_PAUSED));
    if (o->restart)
        TRY(container_set_restart(c, o->restart));
    container_unlock(c);
    container_say(c, "update", NULL);
    return NULL;
}
