// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "engine/apart.h"
#include "engine/chain.h"
#include "engine/events.h"
#include "monitor/attach.h"
#include "os/proc.h"

const char *ago(int64_t ns, char buf[96])
{
    char words[64];
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t seconds = now.tv_sec - ns / 1000000000;
    if (!ns)
        return "";
    (void)snprintf(buf, 96, "%s ago", format_duration(seconds > 0 ? (uint64_t)seconds : 0, words));
    return buf;
}

fallible exec_program(const char *name, char *const *argv)
{
    own_mem char *path = NULL;
    TRY(self_find_program(name, &path));
    (void)execv(path, argv);
    return err_sys(errno, "run '%s'", path);
}

struct each {
    struct engine *engine;
    container_fn *fn;
    const void *ctx;
};

static err *on_each(const char *arg, void *ctx)
{
    const struct each *each = ctx;
    own(container) struct container *c = NULL;
    TRY(container_find(each->engine, arg, &c));
    TRY(each->fn(c, each->ctx));
    printf("%s\n", arg);
    return NULL;
}

fallible each_selected(const char *command, const struct container_selection *selection, enum select_among among,
                       struct args args, container_fn *fn, const void *ctx)
{
    own(engine) struct engine *engine = NULL;
    own_strv struct strv names = { 0 };
    struct each each = { .fn = fn, .ctx = ctx };
    TRY(engine_open(&engine));
    each.engine = engine;
    TRY(container_select(engine, selection, among, args.v, (size_t)args.n, &names));
    return command_each(command, (struct args){ names.items, (int)names.n }, on_each, &each);
}

/* Many wait at the same time, but not so many that a thousand processes are begun. */
enum { AT_ONCE = 50 };

struct at_once {
    struct apart work[AT_ONCE];
    struct args args;
    container_fn *fn;
    const void *ctx;
    int begun, ended;
    bool quietly;
};

static err *on_end(const char *arg, void *ctx)
{
    struct at_once *a = ctx;
    err *e = NULL;
    while (!e && a->begun < a->args.n && a->begun - a->ended < AT_ONCE) {
        e = apart_begin(a->args.v[a->begun], a->fn, a->ctx, &a->work[a->begun % AT_ONCE]);
        a->begun += !e;
    }
    if (e && a->begun > a->ended) { /* no room for one more just now: what runs makes some */
        err_free(e);
        e = NULL;
    }
    if (e) { /* not even one could be begun */
        a->begun++;
        a->ended++;
        return e;
    }
    TRY(apart_end(&a->work[a->ended++ % AT_ONCE]));
    if (!a->quietly)
        printf("%s\n", arg);
    return NULL;
}

fallible each_at_once(const char *command, struct args args, container_fn *fn, const void *ctx, bool quietly)
{
    struct at_once a = { .args = args, .fn = fn, .ctx = ctx, .quietly = quietly };
    return command_each(command, args, on_end, &a);
}

fallible each_selected_at_once(const char *command, const struct container_selection *selection,
                               enum select_among among, struct args args, container_fn *fn, const void *ctx)
{
    own_strv struct strv names = { 0 };
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    TRY(container_select(engine, selection, among, args.v, (size_t)args.n, &names));
    struct args found = { names.items, (int)names.n };
    struct each each = { .engine = engine, .fn = fn, .ctx = ctx };
    return found.n == 1 ? command_each(command, found, on_each, &each) : each_at_once(command, found, fn, ctx, false);
}

fallible only_one(struct engine *e, bool latest, struct args *args, char **ret_latest)
{
    own_strv struct strv names = { 0 };
    if (!latest && args->n == 0)
        return err_new(ERR_INVALID, "which container? Name one, or say --latest");
    if (!latest)
        return NULL;
    TRY(container_select(e, &(struct container_selection){ .latest = true }, SELECT_ALL, NULL, 0, &names));
    *ret_latest = mem_strdup(names.items[0]);
    return NULL;
}

fallible each_container(const char *command, struct args args, container_fn *fn, const void *ctx)
{
    own(engine) struct engine *engine = NULL;
    struct each each = { .fn = fn, .ctx = ctx };
    TRY(engine_open(&engine));
    each.engine = engine;
    return command_each(command, args, on_each, &each);
}

static fallible lost_monitor(struct container *c, int *ret_code)
{
    fprintf(stderr, "husk: the monitor of container '%s' is gone; waiting for the container itself\n", c->row.name);
    return container_wait(c, ret_code);
}

/* Its status is the helper's own, and its error is said with it. */
static void say_chain_ended(struct container *c)
{
    int code;
    err *e = chain_ended(c, &code);
    if (e)
        fprintf(stderr, "husk: %s\n", err_text(e));
    err_ignore(e, "said; the exit status says the rest");
}

fallible attach_and_leave(struct container *c, int sock, const struct attach_wish *wish)
{
    const struct container_config *config;
    enum attach_end end;
    int code = 0;
    TRY(container_config(c, &config));
    struct attach a = {
        .sock = sock,
        .tty = config->tty,
        .stdin_open = wish->stdin_open,
        .no_stdout = wish->no_stdout,
        .no_stderr = wish->no_stderr,
        .sig_proxy = !wish->no_sig_proxy,
        .detach_keys = wish->detach_keys,
        .log_dir = wish->logs ? c->dir : NULL,
    };
    TRY(attach_run(&a, &end, &code));
    if (end == ATTACH_DETACHED) {
        container_say(c, "detach", NULL);
        return NULL;
    }
    if (end == ATTACH_LOST)
        TRY(lost_monitor(c, &code));
    say_chain_ended(c);
    if (config->auto_remove) {
        err *e = container_remove(c, &(struct remove_options){ .volumes = true });
        if (err_is(e, ERR_NOT_FOUND) || err_is(e, ERR_CONFLICT)) { /* another husk was faster, or restarted it */
            err_free(e);
            e = NULL;
        }
        TRY(e);
        err_ignore(attach_cleaned(sock), "the monitor has ended already");
    }
    return code ? err_exit(code) : NULL;
}

void say_kept(const struct trash *t)
{
    char keep[64];
    if (!t->entry)
        return;
    (void)fflush(stdout); /* it is about the last line there */
    fprintf(stderr,
            "kept for %s, and not free until then: `husk undo` brings it back, `husk trash empty` frees it now\n",
            format_duration((uint64_t)t->keep_ns / 1000000000, keep));
}
