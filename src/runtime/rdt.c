// SPDX-License-Identifier: GPL-2.0-or-later
#include "runtime/start.h"

enum { ROUNDS_MAX = 100 }; /* how often all processes of a container are looked for: each round finds fewer */

/* What a thread made before it was moved is found by the next round; what it makes after that is in the group. */
static fallible take_all(int resctrl_fd, const char *state_dir, const struct runtime_state *s)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        own_mem pid_t *pids = NULL;
        size_t n = 0, moved = 0;
        TRY(runtime_pids(state_dir, &pids, &n));
        TRY(resctrl_take(resctrl_fd, s->resctrl_group, pids, n, &moved));
        if (moved == 0)
            return NULL;
    }
    return err_new(ERR_TIMEOUT, "container '%s' makes processes faster than they are moved: pause it first", s->id);
}

static fallible fill_group(int resctrl_fd, const char *state_dir, const struct runtime_state *s,
                           const struct resctrl *r)
{
    TRY(resctrl_make(resctrl_fd, r, s->init.pid));
    err *e = take_all(resctrl_fd, state_dir, s);
    if (e) /* the kernel moves who is in it to the default group */
        err_ignore(resctrl_remove(resctrl_fd, &s->resctrl_dirs), "the first error matters more");
    return e;
}

/* The state says it first: whoever deletes the container after a kill at any point finds the group. */
static fallible make_group(int resctrl_fd, int dir, const char *state_dir, struct runtime_state *s,
                           const struct runtime_rdt *rdt)
{
    own_json json_t *config = json_object();
    struct resctrl r = { 0 };
    if (rdt->l3_cache_schema && *rdt->l3_cache_schema)
        json_object_set_new(config, "l3CacheSchema", json_string(rdt->l3_cache_schema));
    if (rdt->mem_bw_schema && *rdt->mem_bw_schema)
        json_object_set_new(config, "memBwSchema", json_string(rdt->mem_bw_schema));
    TRY(resctrl_plan(config, s->id, &r));
    resctrl_dirs(&r, &s->resctrl_dirs);
    s->resctrl_group = mem_strdup(r.group);
    err *e = state_write(dir, s);
    if (!e)
        e = fill_group(resctrl_fd, state_dir, s, &r);
    resctrl_clear(&r);
    if (!e)
        return NULL;
    strv_free(&s->resctrl_dirs);
    free(take(s->resctrl_group));
    err_ignore(state_write(dir, s), "what is not there is no error to who removes it");
    return e;
}

fallible state_update_rdt(int resctrl_fd, const char *state_dir, const struct runtime_rdt *rdt)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int dir = -1;
    own_fd int lock = -1;
    const char *l3 = rdt->l3_cache_schema, *mb = rdt->mem_bw_schema;
    TRY(state_open_locked(state_dir, &s, &dir, &lock));
    if (s->status == RUNTIME_STOPPED || s->status == RUNTIME_CREATING)
        return err_new(ERR_CONFLICT, "cannot update container '%s': it is %s", s->id, runtime_status_word(s->status));
    if (s->resctrl_group)
        return resctrl_change(resctrl_fd, s->resctrl_group, l3 && *l3 ? l3 : NULL, mb && *mb ? mb : NULL);
    return make_group(resctrl_fd, dir, state_dir, s, rdt);
}

fallible runtime_update_rdt(const char *state_dir, const struct runtime_rdt *rdt)
{
    own_fd int fd = -1;
    TRY(resctrl_open(&fd));
    return state_update_rdt(fd, state_dir, rdt);
}
