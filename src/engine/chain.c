// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/chain.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/container_parts.h"
#include "monitor/monitor.h"
#include "os/fs.h"

static bool is_called(const char *path, const char *task)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, task, 15) == 0;
}

const char *chain_helper(const struct container_config *config, const char *task)
{
    const struct strv *program = config->entrypoint.n ? &config->entrypoint : &config->cmd;
    const char *helper = NULL;
    if (!task || !program->n || is_called(program->items[0], task))
        return NULL;
    for (size_t i = 0; i < config->init_chain.n; i++) {
        if (!is_called(config->init_chain.items[i], task))
            continue;
        if (helper && strcmp(helper, config->init_chain.items[i]) != 0)
            return NULL;
        helper = config->init_chain.items[i];
    }
    return helper;
}

static fallible ended_in(const struct container *c, const char *helper, int64_t code)
{
    return err_new(ERR_UNAVAILABLE,
                   "container '%s' ended before its program ran: '%s' of its --init-chain ended with exit code %lld "
                   "and did not run the next",
                   c->row.name, helper, (long long)code);
}

static fallible judge(struct container *c, const struct container_config *config, bool *ret_known, int *ret_code)
{
    own(monitor_exit) struct monitor_exit *record = NULL;
    const char *dir;
    TRY(container_record_dir(c, &dir));
    err *e = monitor_exit_read(dir, &record);
    *ret_known = !e;
    if (e) {
        err_ignore(e, "it runs again, or its record went with it");
        return NULL;
    }
    const char *helper = chain_helper(config, record->task);
    *ret_code = (int)record->exit_code;
    return helper ? ended_in(c, helper, record->exit_code) : NULL;
}

fallible chain_ended(struct container *c, int *ret_code)
{
    const struct container_config *config;
    bool known;
    TRY(container_config(c, &config));
    return config->init_chain.n ? judge(c, config, &known, ret_code) : NULL;
}

/* Is it still a helper, and which? One that has ended just now is the last that was seen: its state tells the rest. */
static bool in_chain(const struct container_config *config, struct proc_id init, const char **helper)
{
    char path[48];
    own_mem char *text = NULL;
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)init.pid);
    err *e = fs_read_at(AT_FDCWD, path, 64, &text, NULL);
    if (e) {
        err_ignore(e, "it has ended just now");
        return true;
    }
    text[strcspn(text, "\n")] = '\0';
    *helper = chain_helper(config, text);
    return *helper;
}

/* --rm, or somebody, was faster than we. */
static fallible removed_in(const struct container *c, const char *helper)
{
    return helper ? err_new(ERR_UNAVAILABLE,
                            "container '%s' ended before its program ran: '%s' of its --init-chain did not run the "
                            "next, and nothing else is left of it",
                            c->row.name, helper)
                  : NULL;
}

fallible chain_await(struct container *c, int *ret_code)
{
    const struct container_config *config;
    const char *helper = NULL;
    TRY(container_config(c, &config));
    while (config->init_chain.n) {
        struct container_state s = { 0 };
        err *e = container_state(c, &s);
        if (e) {
            err_ignore(e, "it is gone");
            return removed_in(c, helper);
        }
        bool running = s.status == CONTAINER_RUNNING, paused = s.status == CONTAINER_PAUSED;
        bool waits = paused || (running && in_chain(config, s.init, &helper));
        container_state_clear(&s);
        if (!running && !paused) {
            bool known;
            TRY(judge(c, config, &known, ret_code));
            return known ? NULL : removed_in(c, helper);
        }
        if (!waits)
            return NULL;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    return NULL;
}
