/*
 * husk autostart: restart policies hold over a reboot, with the init at hand.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "engine/autostart.h"
#include "engine/chain.h"

struct autostart_opts {
    const char *init, *root_dir;
    bool print;
};

#define T struct autostart_opts
#define WHERE                                                                                                          \
    OPT_STR(0, "init", T, init, "NAME", "systemd, systemd-user, openrc, runit or cron (default: the one that runs)"),  \
        OPT_STR(0, "root-dir", T, root_dir, "DIR", "The system's root, for one that is being made (default: /)")
static const struct opt install_options[] = {
    OPT_FLAG(0, "print", T, print, "Only show what would be written, and where"),
    WHERE,
    OPT_END,
};
static const struct opt where_options[] = { WHERE, OPT_END };
#undef T
static const struct opt no_options[] = { OPT_END };

static fallible find_unit(const struct autostart_opts *o, const struct engine *e, struct autostart_unit *ret)
{
    const char *root_dir = o->root_dir && strcmp(o->root_dir, "/") != 0 ? o->root_dir : "";
    enum autostart_init init;
    if (o->init)
        TRY(autostart_init_parse(o->init, &init));
    else
        TRY(autostart_detect(root_dir, &init));
    return autostart_unit(e, root_dir, init, ret);
}

static const char *place(const struct autostart_unit *u)
{
    return u->path ? u->path : "the user's crontab";
}

static fallible install(const struct autostart_opts *o, const struct autostart_unit *u)
{
    if (o->print) {
        printf("# %s\n%s", place(u), u->text);
        return NULL;
    }
    TRY(autostart_install(u));
    printf("%s: %s\n", autostart_init_word(u->init), place(u));
    if (u->advice)
        printf("%s\n", u->advice);
    return NULL;
}

static fallible install_run(const void *opts, struct args args)
{
    own(engine) struct engine *e = NULL;
    struct autostart_unit u = { 0 };
    TRY(engine_open(&e));
    TRY(find_unit(opts, e, &u));
    err *failed = install(opts, &u);
    autostart_unit_clear(&u);
    return failed;
}

static fallible remove_run(const void *opts, struct args args)
{
    own(engine) struct engine *e = NULL;
    struct autostart_unit u = { 0 };
    TRY(engine_open(&e));
    TRY(find_unit(opts, e, &u));
    err *failed = autostart_remove(&u);
    autostart_unit_clear(&u);
    return failed;
}

typedef err *wanted_fn(struct container *c, enum container_status status, void *ctx);

/* Those that their policies want; goes on after a failure, reports each, answers the first. */
static fallible each_wanted(struct engine *e, const char *command, wanted_fn *fn, void *ctx)
{
    struct container_list list = { 0 };
    err *first = NULL;
    TRY(container_list(e, &(struct list_options){ .all = true }, &list));
    for (size_t i = list.n; i > 0; i--) { /* the oldest first: others may have been made to use it */
        struct container *c = list.items[i - 1];
        bool wanted = false;
        err *failed = autostart_wanted(c, &wanted);
        if (!failed && wanted)
            failed = fn(c, list.states[i - 1].status, ctx);
        if (failed)
            fprintf(stderr, "%s: container '%s': %s\n", command, c->row.name, err_text(failed));
        if (failed && !first)
            first = err_exit(1);
        err_free(failed);
    }
    container_list_clear(&list);
    return first;
}

static err *print_wanted(struct container *c, enum container_status status, void *ctx)
{
    printf("  %s (%s): %s\n", c->row.name, c->config->restart, container_status_word(status));
    return NULL;
}

static fallible status_run(const void *opts, struct args args)
{
    own(engine) struct engine *e = NULL;
    struct autostart_unit u = { 0 };
    bool installed = false;
    TRY(engine_open(&e));
    TRY(find_unit(opts, e, &u));
    err *failed = autostart_installed(&u, &installed);
    if (!failed)
        printf("%s: %s%s\n", autostart_init_word(u.init),
               installed ? "installed in " : "not installed: husk autostart install", installed ? place(&u) : "");
    if (!failed && installed && u.advice)
        printf("%s\n", u.advice);
    autostart_unit_clear(&u);
    TRY(failed);
    printf("After a reboot it starts:\n");
    return each_wanted(e, "husk autostart status", print_wanted, NULL);
}

static err *start_one(struct container *c, enum container_status status, void *ctx)
{
    if (status != CONTAINER_CREATED && status != CONTAINER_EXITED)
        return NULL;
    int code;
    TRY(container_start(c, NULL));
    TRY(chain_await(c, &code));
    printf("%s\n", c->row.name);
    return NULL;
}

static fallible run_run(const void *opts, struct args args)
{
    own(engine) struct engine *e = NULL;
    TRY(engine_open(&e));
    return each_wanted(e, "husk autostart run", start_one, NULL);
}

/* The machine goes down: they end as with husk stop, and are started again when it comes up. */
static err *stop_one(struct container *c, const void *ctx)
{
    static const struct stop_options how = { .verb = "autostart stop", .stays_wanted = true };
    return err_wrap(container_stop(c, &how), "container '%s'", c->row.name);
}

static err *note_up(struct container *c, enum container_status status, void *ctx)
{
    if (status != CONTAINER_CREATED && status != CONTAINER_EXITED)
        strv_add(ctx, c->row.id);
    return NULL;
}

static fallible stop_run(const void *opts, struct args args)
{
    own(engine) struct engine *e = NULL;
    own_strv struct strv up = { 0 };
    TRY(engine_open(&e));
    TRY(each_wanted(e, "husk autostart stop", note_up, &up));
    return each_at_once("husk autostart stop", (struct args){ up.items, (int)up.n }, stop_one, NULL, true);
}

#define AUTOSTART(word, what, options)                                                                                 \
    static const struct command sub_##word = { .name = #word,                                                          \
                                               .summary = what,                                                        \
                                               .opts = options,                                                        \
                                               .opts_size = sizeof(struct autostart_opts),                             \
                                               .max_args = 0,                                                          \
                                               .fail_exit = 1,                                                         \
                                               .run = word##_run }
AUTOSTART(install, "Write the unit that starts containers after a reboot", install_options);
AUTOSTART(remove, "Take the unit away", where_options);
AUTOSTART(status, "Whether the unit is there, and what it would start", where_options);
AUTOSTART(run, "Start what restart policies want after a reboot: what the unit calls", no_options);
AUTOSTART(stop, "Stop those when the machine goes down; they stay wanted", no_options);
static const struct command *const autostart_commands[] = { &sub_install, &sub_remove, &sub_status,
                                                            &sub_run,     &sub_stop,   NULL };

const struct command cmd_autostart = {
    .name = "autostart",
    .summary = "Have restart policies hold over a reboot",
    .sub = autostart_commands,
};
