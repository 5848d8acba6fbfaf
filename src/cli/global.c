/*
 * global.c: options before the command. They are words for the variables of the environment that all programs of husk
 * read, so that what a command starts hears them too.
 * Compatible with: docker and podman (--log-level, --debug), podman (--root, --runroot).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"

struct global_opts {
    const char *root, *runroot, *conf, *log_level, *config;
    bool debug, version;
    const char *host, *context, *url, *connection, *storage_driver, *cgroup_manager;
    bool remote;
};

static const char *const level_words[] = { "trace", "debug", "info", "warn", "warning", "error", "fatal", NULL };

#define T struct global_opts
static const struct opt global_options[] = {
    OPT_STR(0, "root", T, root, "DIR", "Where images, containers and volumes are kept, as HUSK_ROOT"),
    OPT_STR(0, "runroot", T, runroot, "DIR", "Where running containers' states are kept, as HUSK_RUN"),
    OPT_STR(0, "conf", T, conf, "FILE", "Read these settings instead of husk.conf, as HUSK_CONF"),
    OPT_STR(0, "config", T, config, "DIR", "Where docker's config.json with logins is, as DOCKER_CONFIG"),
    OPT_STR('l', "log-level", T, log_level, "LEVEL", "error, warn (default), info or debug, as HUSK_LOG",
            .words = level_words),
    OPT_FLAG('D', "debug", T, debug, "As --log-level debug"),
    OPT_FLAG('v', "version", T, version, "Print the version"),
    OPT_GROUP("Refused"),
    OPT_STR('H', "host", T, host, "URL", "Refused: there is no daemon"),
    OPT_STR('c', "context", T, context, "NAME", "Refused: there is no daemon"),
    OPT_STR(0, "url", T, url, "URL", "Refused: there is no daemon"),
    OPT_STR(0, "connection", T, connection, "NAME", "Refused: there is no daemon"),
    OPT_FLAG('r', "remote", T, remote, "Refused: there is no daemon"),
    OPT_STR(0, "storage-driver", T, storage_driver, "NAME", "Refused: see husk.conf"),
    OPT_STR(0, "cgroup-manager", T, cgroup_manager, "NAME", "Refused: see husk run"),
    OPT_END,
};
#undef T
static const struct command global_command = {
    .name = "husk",
    .args = "COMMAND [ARGUMENT...]",
    .opts = global_options,
    .opts_size = sizeof(struct global_opts),
    .max_args = -1,
    .stop_at_arg = true,
    .fail_exit = 125,
};

/* A command may change its directory, and what it starts has another. */
static fallible set_path(const char *name, const char *path)
{
    if (!path)
        return NULL;
    if (!*path)
        return err_new(ERR_INVALID, "options before the command: a path is empty");
    own_mem char *here = *path == '/' ? NULL : getcwd(NULL, 0);
    if (*path != '/' && !here)
        return err_sys(errno, "find out where we are");
    own_mem char *whole = here ? mem_printf("%s/%s", here, path) : mem_strdup(path);
    return setenv(name, whole, 1) < 0 ? err_sys(errno, "set %s", name) : NULL;
}

static fallible set_level(const struct global_opts *o)
{
    const char *word = o->debug ? "debug" : o->log_level;
    if (!word)
        return NULL;
    if (str_eq(word, "trace"))
        word = "debug";
    if (str_eq(word, "warning"))
        word = "warn";
    if (str_eq(word, "fatal"))
        word = "error";
    return setenv("HUSK_LOG", word, 1) < 0 ? err_sys(errno, "set HUSK_LOG") : NULL;
}

static fallible refuse(const struct global_opts *o)
{
    const char *far = o->host         ? "--host"
                      : o->context    ? "--context"
                      : o->url        ? "--url"
                      : o->connection ? "--connection"
                      : o->remote     ? "--remote"
                                      : NULL;
    if (far)
        return err_new(ERR_UNSUPPORTED,
                       "%s: there is no daemon to point at: run husk on the other host, such as by "
                       "'ssh HOST husk'",
                       far);
    if (o->storage_driver)
        return err_new(ERR_UNSUPPORTED, "--storage-driver: a store has one driver, which husk.conf names: [storage] "
                                        "driver");
    if (o->cgroup_manager)
        return err_new(ERR_UNSUPPORTED, "--cgroup-manager: it is said of each container: 'husk run --cgroup-manager "
                                        "systemd'");
    return NULL;
}

static fallible carry_out(const struct global_opts *o)
{
    TRY(refuse(o));
    TRY(set_path("DOCKER_CONFIG", o->config));
    TRY(set_path("HUSK_ROOT", o->root));
    TRY(set_path("HUSK_RUN", o->runroot));
    TRY(set_path("HUSK_CONF", o->conf));
    return set_level(o);
}

void global_help(void)
{
    printf("\nOptions before the command:\n");
    for (const struct opt *o = global_options; o->type != OPT_TYPE_END; o++) {
        if (o->type == OPT_TYPE_GROUP) {
            printf("\n%s:\n", o->help);
            continue;
        }
        own_mem char *letter = o->letter ? mem_printf("-%c, ", o->letter) : mem_strdup("    ");
        own_mem char *name = mem_printf("%s--%s %s", letter, o->name, o->value_name ? o->value_name : "");
        printf("  %-24s %s\n", name, o->help);
    }
}

bool global_take(int *argc, char ***argv, int *ret_status)
{
    struct global_opts o = { 0 };
    struct args args = { 0 };
    bool help = false;
    const char *first = *argc > 1 ? (*argv)[1] : "";
    if (*first != '-' || str_eq(first, "--introspect") || str_eq(first, "--help") || str_eq(first, "-h"))
        return false;
    err *e = opt_parse(&global_command, *argc - 1, *argv + 1, &o, &args, &help);
    if (!e)
        e = carry_out(&o);
    if (!e && !help && !o.version && args.n == 0)
        e = err_new(ERR_INVALID, "which command? See 'husk --help'");
    if (e) {
        fprintf(stderr, "husk: %s\n", err_text(e));
        err_free(e);
        *ret_status = 125;
        return true;
    }
    if (o.version) {
        printf("husk version %s\n", HUSK_VERSION);
        *ret_status = 0;
        return true;
    }
    static char help_word[] = "--help";
    if (help) {
        (*argv)[1] = help_word;
        *argc = 2;
        return false;
    }
    memmove(*argv + 1, args.v, ((size_t)args.n + 1) * sizeof *args.v);
    *argc = args.n + 1;
    return false;
}
