// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A pod's life. Who starts, stops or settles one holds the flock of <run>/pods/ID meanwhile, so that the end of its
 * first container does not stop a pod whose second is just being started.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cgroup/cgroup.h"
#include "engine/apart.h"
#include "engine/chain.h"
#include "engine/container_parts.h"
#include "engine/paths.h"
#include "engine/pod_parts.h"
#include "engine/spec_parts.h"
#include "engine/trash.h"
#include "os/fault.h"
#include "os/fs.h"

static fallible lock(const struct pod *p, int *ret_fd)
{
    own_fd int run = -1, dir = -1;
    TRY(paths_open_run(p->engine->run, &run));
    if (mkdirat(run, "pods", 0700) < 0 && errno != EEXIST)
        return err_sys(errno, "make '%s/pods'", p->engine->run);
    TRY(fs_open_dir_at(run, "pods", FS_MUST_EXIST, &dir));
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    own_fd int fd = openat(dir, p->row.id, flags, 0600);
    if (fd < 0 && errno == ENOENT && (mkdirat(run, "pods", 0700) == 0 || errno == EEXIST)) { /* another's rm took it */
        close_now(&dir);
        TRY(fs_open_dir_at(run, "pods", FS_MUST_EXIST, &dir));
        fd = openat(dir, p->row.id, flags, 0600);
    }
    if (fd < 0)
        return err_sys(errno, "open '%s/pods/%s'", p->engine->run, p->row.id);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_sys(errno, "lock '%s/pods/%s'", p->engine->run, p->row.id);
    *ret_fd = take_fd(&fd);
    return NULL;
}

/* ---- its control group ------------------------------------------------------------------------------------------- */

static fallible limits_of(const struct pod *p, struct oci_spec **ret)
{
    own(oci_spec) struct oci_spec *spec = mem_zalloc(sizeof *spec);
    struct container_config config = { .resources = p->config->resources };
    spec->linux_ = mem_zalloc(sizeof *spec->linux_);
    TRY(spec_add_resources(&(struct spec_input){ .id = p->row.id, .config = &config }, spec));
    *ret = take(spec);
    return NULL;
}

static fallible open_group(const struct pod *p, struct cgroup_host **ret_host, struct cgroup **ret)
{
    const char *why = NULL;
    own(cgroup_host) struct cgroup_host *host = NULL;
    TRY(cgroup_host_open(&host));
    if (!cgroup_host_usable(host, &why))
        return err_new(ERR_DENIED, "limits of pod '%s': %s", p->row.name, why);
    TRY(cgroup_open(host, p->config->cgroup, ret));
    *ret_host = take(host);
    return NULL;
}

fallible pod_prepare(struct engine *e, const char *id)
{
    own(pod) struct pod *p = NULL;
    own(cgroup_host) struct cgroup_host *host = NULL;
    own(cgroup) struct cgroup *group = NULL, *made = NULL;
    own(oci_spec) struct oci_spec *spec = NULL;
    TRY(pod_find(e, id, &p));
    if (!p->config->resources)
        return NULL;
    TRY(open_group(p, &host, &group));
    if (cgroup_there(group))
        return NULL;
    TRY(limits_of(p, &spec));
    return cgroup_create(host, p->config->cgroup, spec->linux_->resources, &made);
}

/* Its members took their own groups with them; the one around them stays until here. */
static void remove_group(const struct pod *p)
{
    own(cgroup_host) struct cgroup_host *host = NULL;
    own(cgroup) struct cgroup *group = NULL;
    own_mem pid_t *pids = NULL;
    size_t n = 0;
    if (!p->config->cgroup)
        return;
    err *e = open_group(p, &host, &group);
    if (!e && cgroup_there(group) && !(e = cgroup_pids(group, &pids, &n)) && !n)
        e = cgroup_remove(group);
    if (e)
        log_debug("pod %.12s: its control group: %s", p->row.id, err_text(e));
    err_ignore(e, "`system check` names what stays");
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

void pod_members_clear(struct pod_members *m)
{
    for (size_t i = 0; i < m->n; i++) {
        container_free(m->items[i]);
        container_state_clear(&m->states[i]);
    }
    free(m->items);
    free(m->states);
    *m = (struct pod_members){ 0 };
}

fallible pod_members(const struct pod *p, struct pod_members *ret)
{
    own(pod_members) struct pod_members m = { 0 };
    own_strv struct strv ids = { 0 };
    struct db *db;
    TRY(engine_db(p->engine, &db));
    TRY(db_pod_members(db, p->row.id, &ids));
    m.items = mem_zalloc((ids.n + 1) * sizeof(struct container *));
    m.states = mem_zalloc((ids.n + 1) * sizeof(struct container_state));
    for (size_t i = 0; i < ids.n; i++) {
        const struct container_config *config;
        err *e = container_find(p->engine, ids.items[i], &m.items[m.n]);
        if (err_is(e, ERR_NOT_FOUND)) { /* removed meanwhile */
            err_free(e);
            continue;
        }
        TRY(e);
        m.n++;
        TRY(container_config(m.items[m.n - 1], &config));
        TRY(container_state(m.items[m.n - 1], &m.states[m.n - 1]));
        m.infra |= config->infra;
    }
    *ret = m;
    m = (struct pod_members){ 0 };
    return NULL;
}

static bool is_up(const struct container_state *s)
{
    return s->status == CONTAINER_RUNNING || s->status == CONTAINER_PAUSED;
}

static bool lives(const struct container_state *s)
{
    return is_up(s) || s->status == CONTAINER_RESTARTING;
}

const char *pod_status(const struct pod_members *m)
{
    size_t running = 0, paused = 0, created = 0, counted = 0;
    bool paused_any = false;
    for (size_t i = 0; i < m->n; i++)
        paused_any |= m->states[i].status == CONTAINER_PAUSED;
    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i]->config->init_ctr || (m->items[i]->config->infra && m->n > 1 && paused_any))
            continue; /* nothing of the infra's can be frozen */
        counted++;
        running += (m->states[i].status == CONTAINER_RUNNING && !m->states[i].waits) ||
                   m->states[i].status == CONTAINER_RESTARTING;
        paused += m->states[i].status == CONTAINER_PAUSED;
        created += m->states[i].status == CONTAINER_CREATED || m->states[i].waits;
    }
    if (created == counted)
        return "Created";
    if (running == counted)
        return "Running";
    if (paused && !running)
        return "Paused";
    return running ? "Degraded" : "Exited";
}

/* Goes on after a failure; the first is answered. */
static void keep_first(err **first, err *take_e)
{
    if (take_e && *first)
        err_ignore(take_e, "the first is answered");
    else if (take_e)
        *first = take_e;
}

/* ---- verbs ------------------------------------------------------------------------------------------------------- */

static fallible start_one(struct container *c)
{
    err *e = container_start(c, NULL);
    container_unlock(c); /* an error keeps it, and the next start may require this one */
    if (err_is(e, ERR_UNCHANGED)) {
        err_free(e);
        return NULL;
    }
    return err_wrap(e, "container '%s'", c->row.name);
}

static fallible run_init(struct container *c)
{
    int code = 0;
    TRY(start_one(c));
    TRY(container_wait(c, &code));
    if (code)
        return err_new(ERR_CONFLICT, "container '%s', which is to run before the others, ended with %d", c->row.name,
                       code);
    return strcmp(c->config->init_ctr, "once") == 0 ? container_remove(c, &(struct remove_options){ .volumes = true })
                                                    : NULL;
}

/* All of them have been started: each comes to its program, or what it ended in is named. */
static fallible await_chains(const struct pod_members *m)
{
    err *first = NULL;
    for (size_t i = 0; i < m->n; i++) {
        int code;
        if (!m->items[i]->config->init_ctr && !m->items[i]->config->infra)
            keep_first(&first, err_wrap(chain_await(m->items[i], &code), "container '%s'", m->items[i]->row.name));
    }
    return first;
}

static fallible start_members(const struct pod_members *m)
{
    bool up = false;
    err *first = NULL;
    for (size_t i = 0; i < m->n; i++)
        up |= !m->items[i]->config->infra && !m->items[i]->config->init_ctr && lives(&m->states[i]);
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i]->config->infra)
            TRY(start_one(m->items[i]));
    fault_here(FAULT_POD_HELD);
    for (size_t i = 0; i < m->n && !up; i++)
        if (m->items[i]->config->init_ctr)
            TRY(run_init(m->items[i]));
    for (size_t i = 0; i < m->n; i++)
        if (!m->items[i]->config->init_ctr && !m->items[i]->config->infra)
            keep_first(&first, start_one(m->items[i]));
    return first ? first : await_chains(m);
}

fallible pod_start(struct pod *p)
{
    own_fd int held = -1;
    own(pod_members) struct pod_members m = { 0 };
    TRY(lock(p, &held));
    TRY(pod_members(p, &m));
    TRY(start_members(&m));
    pod_say(p, "start");
    return NULL;
}

static err *stop_one(struct container *c, const void *how)
{
    return container_stop(c, how);
}

static fallible stop_members(const struct pod_members *m, const struct stop_options *o)
{
    own_mem struct apart *work = mem_zalloc((m->n + 1) * sizeof *work);
    err *first = NULL;
    for (size_t i = 0; i < m->n; i++)
        if (!m->items[i]->config->infra && lives(&m->states[i]))
            keep_first(&first, apart_begin(m->items[i]->row.id, stop_one, o, &work[i]));
    for (size_t i = 0; i < m->n; i++) {
        err *e = apart_end(&work[i]);
        if (err_is(e, ERR_NOT_FOUND)) /* another's rm was faster */
            err_free(e);
        else
            keep_first(&first, err_wrap(e, "container '%s'", m->items[i]->row.name));
    }
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i]->config->infra)
            keep_first(&first, container_stop(m->items[i], o));
    return first;
}

static fallible stop_locked(struct pod *p, const struct stop_options *o)
{
    own(pod_members) struct pod_members m = { 0 };
    TRY(pod_members(p, &m));
    TRY(stop_members(&m, o));
    fault_here(FAULT_POD_STOPPED);
    remove_group(p);
    pod_say(p, "stop");
    return NULL;
}

fallible pod_stop(struct pod *p, const struct stop_options *o)
{
    own_fd int held = -1;
    TRY(lock(p, &held));
    return stop_locked(p, o);
}

fallible pod_kill(struct pod *p, int signal)
{
    own(pod_members) struct pod_members m = { 0 };
    err *first = NULL;
    TRY(pod_members(p, &m));
    for (size_t i = m.n; i-- > 0;)
        if (is_up(&m.states[i]))
            keep_first(&first, container_kill(m.items[i], signal));
    TRY(first);
    pod_say(p, "kill");
    return NULL;
}

fallible pod_freeze(struct pod *p, enum pod_freeze how)
{
    own(pod_members) struct pod_members m = { 0 };
    enum container_status from = how == POD_PAUSE ? CONTAINER_RUNNING : CONTAINER_PAUSED;
    err *first = NULL;
    TRY(pod_members(p, &m));
    for (size_t i = 0; i < m.n; i++)
        if (m.states[i].status == from && !m.items[i]->config->infra)
            keep_first(&first, how == POD_PAUSE ? container_pause(m.items[i]) : container_unpause(m.items[i]));
    TRY(first);
    pod_say(p, how == POD_PAUSE ? "pause" : "unpause");
    return NULL;
}

static fallible must_not_run(const struct pod *p, const struct pod_members *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (lives(&m->states[i]))
            return err_new(ERR_CONFLICT, "pod '%s': container '%s' is running: stop the pod first, or force with -f",
                           p->row.name, m->items[i]->row.name);
    return NULL;
}

fallible pod_removal(const struct pod *p, bool force, struct pod_members *ret)
{
    own(pod_members) struct pod_members m = { 0 };
    TRY(pod_members(p, &m));
    if (!force)
        TRY(must_not_run(p, &m));
    *ret = m;
    m = (struct pod_members){ 0 };
    return NULL;
}

/* Its own, and those of pods whose removal was killed just before this. */
static void remove_locks(struct engine *e)
{
    own_mem char *path = mem_printf("%s/pods", e->run);
    own_dir DIR *d = opendir(path);
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        own(pod) struct pod *p = NULL;
        if (entry->d_name[0] == '.')
            continue;
        err *missing = pod_find(e, entry->d_name, &p);
        if (err_is(missing, ERR_NOT_FOUND))
            (void)unlinkat(dirfd(d), entry->d_name, 0);
        err_ignore(missing, "it is there, or the next one looks again");
    }
    (void)rmdir(path); /* the last one's */
}

/* Of one without an infra. On a full disk it goes for good, which makes room. */
static fallible remove_row(const struct pod *p, struct trash *t, struct db *db)
{
    err *e = trash_keeps(t) ? trash_pod(t, &p->row) : db_pod_remove(db, &p->row);
    if (!trash_keeps(t) || !err_is(e, ERR_EXHAUSTED))
        return e;
    err_ignore(e, "then there is no room for a trash");
    do
        e = db_pod_remove(db, &p->row);
    while (engine_gave_room(p->engine, &e));
    return e;
}

fallible pod_remove(struct pod *p, const struct remove_options *o)
{
    own_fd int held = -1;
    own(pod_members) struct pod_members m = { 0 };
    struct remove_options member = *o;
    struct db *db;
    TRY(lock(p, &held));
    TRY(pod_removal(p, o->force, &m));
    member.volumes = true; /* as podman: nobody is left to use what nobody named */
    for (size_t i = m.n; i-- > 0;) {
        if (m.items[i]->config->infra)
            continue;
        err *e = container_remove(m.items[i], &member);
        if (err_is(e, ERR_NOT_FOUND)) {
            err_free(e);
            e = NULL;
        }
        TRY(e);
    }
    fault_here(FAULT_POD_EMPTY);
    member.pod = &p->row;
    for (size_t i = 0; i < m.n; i++)
        if (m.items[i]->config->infra) /* the pod's row goes with the infra's */
            TRY(container_remove(m.items[i], &member));
    if (!m.infra) {
        TRY(engine_db(p->engine, &db));
        TRY(remove_row(p, o->trash, db));
    }
    fault_here(FAULT_POD_GONE);
    remove_group(p);
    remove_locks(p->engine);
    pod_say(p, "remove");
    return NULL;
}

fallible pod_settle(struct engine *e, const char *id)
{
    own(pod) struct pod *p = NULL;
    own(pod_members) struct pod_members m = { 0 };
    own_fd int held = -1;
    err *missing = pod_find(e, id, &p);
    if (err_is(missing, ERR_NOT_FOUND)) {
        err_free(missing);
        return NULL;
    }
    TRY(missing);
    if (!str_eq(p->config->exit_policy, "stop"))
        return NULL;
    TRY(lock(p, &held));
    TRY(pod_members(p, &m));
    for (size_t i = 0; i < m.n; i++)
        if (!m.items[i]->config->infra && !m.items[i]->config->init_ctr && lives(&m.states[i]))
            return NULL;
    return stop_locked(p, &(struct stop_options){ 0 });
}
