/*
 * husk healthcheck: is it well? And what a monitor runs at intervals: health-probe.
 * Compatible with: podman healthcheck.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "engine/health.h"
#include "monitor/health.h"

struct healthcheck_opts {
    bool latest;
};

#define T struct healthcheck_opts
static const struct opt run_options[] = {
    OPT_FLAG('l', "latest", T, latest, "The container that was made last"),
    OPT_END,
};
#undef T
static const struct opt no_options[] = { OPT_END };

static fallible healthcheck_run(const void *opts_, struct args args)
{
    const struct healthcheck_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_mem char *latest = NULL;
    struct health_answer_of answer;
    TRY(engine_open(&engine));
    TRY(only_one(engine, o->latest, &args, &latest));
    TRY(container_find(engine, latest ? latest : args.v[0], &c));
    TRY(health_probe(c, HEALTH_BY_HAND, &answer));
    if (answer.well)
        return NULL;
    printf("%s\n", health_word(c));
    return err_exit(1);
}

/* A container that is paused or has just ended is neither well nor ill: it is asked again. */
static fallible probe_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    struct health_answer_of answer;
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &c));
    err *e = health_probe(c, HEALTH_BY_CLOCK, &answer);
    if (err_is(e, ERR_CONFLICT)) {
        err_free(e);
        return err_exit(HEALTH_ILL);
    }
    TRY(e);
    return answer.starting ? err_exit(HEALTH_STARTING) : answer.well ? NULL : err_exit(HEALTH_ILL);
}

static const struct command cmd_run_ = {
    .name = "run",
    .args = "[CONTAINER]",
    .summary = "Ask a container for its health, now",
    .detail = "Exit status: 0 when it is well, 1 when it is not, 125 when it cannot be asked. The answer counts like\n"
              "those to its monitor.",
    .opts = run_options,
    .opts_size = sizeof(struct healthcheck_opts),
    .max_args = 1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 125,
    .run = healthcheck_run,
};
static const struct command *const healthcheck_commands[] = { &cmd_run_, NULL };

const struct command cmd_healthcheck = {
    .name = "healthcheck",
    .summary = "Health checks of containers",
    .sub = healthcheck_commands,
};

const struct command cmd_health_probe = {
    .name = "health-probe",
    .args = "CONTAINER",
    .summary = "A health check, for a container's monitor",
    .opts = no_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = HEALTH_ILL,
    .hidden = true,
    .run = probe_run,
};
