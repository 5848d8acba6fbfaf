/*
 * husk attach: this terminal to a running container.
 * Compatible with: docker attach, podman attach.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "engine/events.h"
#include "monitor/attach.h"

struct attach_opts {
    bool no_stdin, latest, logs;
    const char *detach_keys, *sig_proxy;
};

#define T struct attach_opts
static const struct opt attach_options[] = {
    OPT_FLAG(0, "no-stdin", T, no_stdin, "Leave our standard input alone"),
    OPT_FLAG(0, "logs", T, logs, "What it has printed so far comes first"),
    OPT_FLAG('l', "latest", T, latest, "The container that was made last"),
    OPT_STR(0, "sig-proxy", T, sig_proxy, "BOOL", "Pass our signals on to it (default true)"),
    OPT_STR(0, "detach-keys", T, detach_keys, "KEYS", "What leaves it running when typed (default ctrl-p,ctrl-q)"),
    OPT_END,
};
#undef T

static fallible attach_cmd_run(const void *opts_, struct args args)
{
    const struct attach_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_mem char *latest = NULL;
    const struct container_config *config;
    struct container_state s = { 0 };
    own_fd int sock = -1;
    bool proxy = true;
    if (o->sig_proxy)
        TRY_AS(parse_bool(o->sig_proxy, &proxy), "--sig-proxy");
    if (o->detach_keys)
        TRY_AS(attach_keys_check(o->detach_keys), "--detach-keys");
    TRY(engine_open(&engine));
    TRY(only_one(engine, o->latest, &args, &latest));
    TRY(container_find(engine, latest ? latest : args.v[0], &c));
    TRY(container_config(c, &config));
    TRY(container_state(c, &s));
    enum container_status status = s.status;
    container_state_clear(&s);
    if (status != CONTAINER_RUNNING)
        return err_new(ERR_CONFLICT, "container '%s' is not running", c->row.name);
    TRY_AS(attach_connect(c->state_dir, &sock), "container '%s'", c->row.name);
    if (o->logs && (str_eq(config->log->driver, "none") || str_eq(config->log->driver, "passthrough")))
        return err_new(ERR_UNSUPPORTED, "--logs: container '%s' keeps no log: it was made with --log-driver %s",
                       c->row.name, config->log->driver);
    struct attach_wish wish = { .stdin_open = config->stdin_open && !o->no_stdin,
                                .no_sig_proxy = !proxy,
                                .logs = o->logs,
                                .detach_keys = o->detach_keys };
    container_say(c, "attach", NULL);
    return attach_and_leave(c, sock, &wish);
}

const struct command cmd_attach = {
    .name = "attach",
    .args = "[CONTAINER]",
    .summary = "Attach this terminal to a running container",
    .opts = attach_options,
    .opts_size = sizeof(struct attach_opts),
    .max_args = 1,
    .complete_args = COMPLETE_RUNNING,
    .fail_exit = 1,
    .run = attach_cmd_run,
};
