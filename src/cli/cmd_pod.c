/*
 * husk pod start, stop, restart, kill, pause, unpause, rm, exists, prune: the lives of pods.
 * Compatible with: podman pod.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <string.h>

#include "cli/pod.h"
#include "engine/trash.h"
#include "os/fs.h"

enum { ID_FILE_MAX = 4096 };

struct pod_opts {
    struct pod_selection select;
    struct opt_i64 time;
    const char *signal;
    bool force, dry_run, no_trash;
};

#define T         struct pod_opts
#define IGNORE(T) OPT_FLAG('i', "ignore", T, select.ignore, "A name that no pod has is no error")
static const struct opt start_options[] = { POD_SELECT(T, "Every pod"), POD_SELECT_FILE(T), OPT_END };
static const struct opt restart_options[] = {
    POD_SELECT(T, "Every pod"),
    OPT_I64('t', "time", T, time, "SECONDS", "Until a container is killed (default 10, or its own)"),
    OPT_END,
};
static const struct opt freeze_options[] = { POD_SELECT(T, "Every pod"), OPT_END };
static const struct opt stop_options[] = {
    POD_SELECT(T, "Every pod"),
    POD_SELECT_FILE(T),
    IGNORE(T),
    OPT_I64('t', "time", T, time, "SECONDS", "Until a container is killed (default 10, or its own)"),
    OPT_END,
};
static const struct opt kill_options[] = {
    POD_SELECT(T, "Every pod"),
    OPT_STR('s', "signal", T, signal, "SIGNAL", "Instead of KILL"),
    OPT_END,
};
static const struct opt rm_options[] = {
    POD_SELECT(T, "Every pod"),
    POD_SELECT_FILE(T),
    IGNORE(T),
    OPT_FLAG('f', "force", T, force, "Kill what runs in it first; a missing one is no error"),
    OPT_I64('t', "time", T, time, "SECONDS", "With --force: stop it gently first, for as long"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    TRASH_OPTION(T),
    OPT_END,
};
static const struct opt prune_options[] = {
    OPT_FLAG('f', "force", T, force, "As with podman: husk never asks"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    TRASH_OPTION(T),
    OPT_END,
};
static const struct opt no_options[] = { OPT_END };
#undef T

static fallible add_id_file(const char *path, struct strv *ret)
{
    own_mem char *text = NULL;
    TRY_AS(fs_read_at(AT_FDCWD, path, ID_FILE_MAX, &text, NULL), "--pod-id-file");
    text[strcspn(text, " \t\r\n")] = '\0';
    strv_add(ret, text);
    return NULL;
}

fallible pod_select(struct engine *e, const struct pod_selection *s, struct args args, struct strv *ret)
{
    own(pod_list) struct pod_list list = { 0 };
    own_strv struct strv names = { 0 };
    if (s->all && args.n)
        return err_new(ERR_INVALID, "--all and names exclude each other");
    if (!args.n && !s->all && !s->latest && !s->id_file.n)
        return err_new(ERR_INVALID, "which pod? Name one, or say --all or --latest");
    strv_copy(&names, args.v, (size_t)args.n);
    for (size_t i = 0; i < s->id_file.n; i++)
        TRY(add_id_file(s->id_file.items[i], &names));
    if (s->all || s->latest)
        TRY(pod_list(e, &list));
    if (s->latest && !list.n)
        return err_new(ERR_NOT_FOUND, "--latest: there is no pod");
    for (size_t i = 0; i < (s->latest ? 1 : list.n); i++)
        strv_add(&names, list.items[i]->row.id);
    *ret = names;
    names = (struct strv){ 0 };
    return NULL;
}

typedef err *pod_fn(struct pod *p, const struct pod_opts *o, struct trash *t);
struct each {
    struct engine *engine;
    const struct pod_opts *opts;
    pod_fn *fn;
    struct trash trash;
};

/* Nameless volumes of its containers that no other has: nobody is left to use them. */
static fallible print_volumes(struct db *db, const struct pod_members *m)
{
    own_strv struct strv ids = { 0 }, seen = { 0 };
    for (size_t i = 0; i < m->n; i++)
        strv_add(&ids, m->items[i]->row.id);
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->items[i]->config->mounts_n; k++) {
            const struct container_mount *mount = &m->items[i]->config->mounts[k];
            own_strv struct strv users = { 0 };
            bool others = false;
            if (!mount->anonymous || !mount->source || strv_has(&seen, mount->source))
                continue;
            strv_add(&seen, mount->source);
            TRY(db_volume_users(db, mount->source, &users));
            for (size_t u = 0; u < users.n; u++)
                others |= !strv_has(&ids, users.items[u]);
            if (!others)
                printf("volume %s\n", mount->source);
        }
    return NULL;
}

/* What `rm --dry-run` says: the pod, its containers, and what they wrote. */
static fallible print_removal(const struct pod *p, bool force)
{
    own(pod_members) struct pod_members m = { 0 };
    struct db *db;
    TRY(pod_removal(p, force, &m));
    printf("%s\t%s\n", p->row.id, p->row.name);
    for (size_t i = 0; i < m.n; i++) {
        struct removal r = { 0 };
        char size[32];
        if (m.items[i]->config->infra) /* it has nothing of its own, and goes with the pod */
            continue;
        TRY(container_removal(m.items[i], force, false, &r));
        printf("container %s\t%s\t%s\n", m.items[i]->row.id, m.items[i]->row.name, format_bytes(r.bytes, size));
    }
    TRY(engine_db(p->engine, &db));
    return print_volumes(db, &m);
}

static err *on_each(const char *name, void *ctx)
{
    struct each *each = ctx;
    own(pod) struct pod *p = NULL;
    err *e = pod_find(each->engine, name, &p);
    if ((each->opts->select.ignore || each->opts->force) && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (each->opts->dry_run)
        return print_removal(p, each->opts->force);
    TRY(each->fn(p, each->opts, &each->trash));
    printf("%s\n", name);
    return NULL;
}

static err *rm_one(struct pod *p, const struct pod_opts *o, struct trash *t);

static fallible each_pod(const char *command, const struct pod_opts *o, struct args args, pod_fn *fn)
{
    own(engine) struct engine *engine = NULL;
    own_strv struct strv names = { 0 };
    TRY(engine_open(&engine));
    TRY(pod_select(engine, &o->select, args, &names));
    struct each each = { .engine = engine, .opts = o, .fn = fn };
    if (fn == rm_one)
        TRY(trash_begin(engine, "pod rm", o->no_trash, &each.trash));
    err *e = command_each(command, (struct args){ names.items, (int)names.n }, on_each, &each);
    if (fn == rm_one && !o->dry_run)
        err_ignore(trash_end(&each.trash), "what was asked is done; the next removal tries again");
    return e;
}

static err *start_one(struct pod *p, const struct pod_opts *o, struct trash *t)
{
    return pod_start(p);
}

static err *stop_one(struct pod *p, const struct pod_opts *o, struct trash *t)
{
    return pod_stop(p, &(struct stop_options){ .timeout_s = o->time });
}

static err *restart_one(struct pod *p, const struct pod_opts *o, struct trash *t)
{
    TRY(stop_one(p, o, t));
    return pod_start(p);
}

static err *kill_one(struct pod *p, const struct pod_opts *o, struct trash *t)
{
    int signal = 0;
    TRY_AS(signal_parse(o->signal ? o->signal : "KILL", &signal), "--signal");
    return pod_kill(p, signal);
}

static err *pause_one(struct pod *p, const struct pod_opts *o, struct trash *t)
{
    return pod_freeze(p, POD_PAUSE);
}

static err *unpause_one(struct pod *p, const struct pod_opts *o, struct trash *t)
{
    return pod_freeze(p, POD_UNPAUSE);
}

static err *rm_one(struct pod *p, const struct pod_opts *o, struct trash *t)
{
    if (o->force && o->time.set)
        TRY(stop_one(p, o, t));
    return pod_remove(p, &(struct remove_options){ .force = o->force, .trash = t });
}

#define RUN(verb)                                                                                                      \
    static fallible verb##_run(const void *opts, struct args args)                                                     \
    {                                                                                                                  \
        return each_pod("husk pod " #verb, opts, args, verb##_one);                                                    \
    }
RUN(start)
RUN(stop)
RUN(restart)
RUN(kill)
RUN(pause)
RUN(unpause)
RUN(rm)

static fallible exists_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(pod) struct pod *p = NULL;
    TRY(engine_open_to_look(&engine));
    err *e = pod_find(engine, args.v[0], &p);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return err_exit(1); /* no word: scripts ask for the status alone */
}

fallible pod_prune_one(struct pod *p, bool dry_run, struct trash *trash, struct strv *ret_members, uint64_t *ret_bytes,
                       bool *ret_gone)
{
    own(pod_members) struct pod_members m = { 0 };
    uint64_t bytes = 0;
    TRY(pod_members(p, &m));
    for (size_t i = 0; i < m.n; i++)
        if (m.states[i].status != CONTAINER_CREATED && m.states[i].status != CONTAINER_EXITED)
            return NULL;
    for (size_t i = 0; i < m.n; i++) {
        TRY(engine_disk_usage(m.items[i]->dir, &bytes));
        *ret_bytes += bytes;
        strv_add(ret_members, m.items[i]->row.id);
    }
    if (!dry_run)
        TRY(pod_remove(p, &(struct remove_options){ .trash = trash }));
    *ret_gone = true;
    return NULL;
}

static fallible prune_run(const void *opts_, struct args args)
{
    const struct pod_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(pod_list) struct pod_list list = { 0 };
    own_strv struct strv members = { 0 };
    uint64_t bytes = 0;
    struct trash trash;
    err *failed = NULL;
    TRY(engine_open(&engine));
    TRY(trash_begin(engine, "pod prune", o->no_trash, &trash));
    TRY(pod_list(engine, &list));
    for (size_t i = 0; i < list.n && !failed; i++) {
        const struct db_pod *row = &list.items[i]->row;
        bool gone = false;
        failed = pod_prune_one(list.items[i], o->dry_run, &trash, &members, &bytes, &gone);
        if (gone && o->dry_run)
            printf("%s\t%s\n", row->id, row->name);
        else if (gone)
            printf("%s\n", row->id);
    }
    if (!o->dry_run)
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    return failed;
}

#define POD_COMMAND(id, word, what, arguments, options, min, max)                                                      \
    static const struct command cmd_pod_##id = {                                                                       \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .opts = options,                                                                                               \
        .opts_size = sizeof(struct pod_opts),                                                                          \
        .min_args = min,                                                                                               \
        .max_args = max,                                                                                               \
        .fail_exit = 1,                                                                                                \
        .run = id##_run,                                                                                               \
    }
POD_COMMAND(start, "start", "Start the containers of pods", "[POD...]", start_options, 0, -1);
POD_COMMAND(stop, "stop", "Stop the containers of pods", "[POD...]", stop_options, 0, -1);
POD_COMMAND(restart, "restart", "Stop the containers of pods and start them again", "[POD...]", restart_options, 0, -1);
POD_COMMAND(kill, "kill", "Send a signal to the containers of pods", "[POD...]", kill_options, 0, -1);
POD_COMMAND(pause, "pause", "Freeze all processes of pods", "[POD...]", freeze_options, 0, -1);
POD_COMMAND(unpause, "unpause", "Let paused pods go on", "[POD...]", freeze_options, 0, -1);
POD_COMMAND(rm, "rm", "Remove pods with their containers", "[POD...]", rm_options, 0, -1);
POD_COMMAND(exists, "exists", "Say by the exit status whether there is such a pod", "POD", no_options, 1, 1);
POD_COMMAND(prune, "prune", "Remove every pod that does not run, with its containers", NULL, prune_options, 0, 0);

static const struct command *const pod_commands[] = {
    // clang-format off: one a line
    &cmd_pod_clone,
    &cmd_pod_create,
    &cmd_pod_exists,
    &cmd_pod_inspect,
    &cmd_pod_kill,
    &cmd_pod_logs,
    &cmd_pod_ls,
    &cmd_pod_pause,
    &cmd_pod_prune,
    &cmd_pod_ps,
    &cmd_pod_restart,
    &cmd_pod_rm,
    &cmd_pod_start,
    &cmd_pod_stats,
    &cmd_pod_stop,
    &cmd_pod_top,
    &cmd_pod_unpause,
    // clang-format on
    NULL,
};

const struct command cmd_pod = {
    .name = "pod",
    .args = "COMMAND",
    .summary = "Manage pods: containers that share namespaces, limits and a life",
    .sub = pod_commands,
};
