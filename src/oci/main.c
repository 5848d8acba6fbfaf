/*
 * husk-oci: an OCI runtime for containerd, dockerd, podman and CRI-O.
 * Compatible with: runc.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "oci/oci.h"
#include "os/ids.h"

static struct oci_global global;

#define T struct oci_global
static const struct opt global_options[] = {
    OPT_STR(0, "root", T, root, "DIR", "Where containers' states are kept (default /run/husk-oci)"),
    OPT_STR(0, "log", T, log, "FILE", "Write the log to FILE instead of standard error"),
    OPT_STR(0, "log-format", T, log_format, "FORMAT", "text or json (default text)",
            .words = (const char *const[]){ "text", "json", NULL }),
    OPT_FLAG(0, "debug", T, debug, "Log each decision"),
    OPT_FLAG(0, "systemd-cgroup", T, systemd_cgroup, "Make control groups through systemd"),
    OPT_STR(0, "rootless", T, rootless, "WORD", "true, false or auto: whether control groups may be missing",
            .words = (const char *const[]){ "true", "false", "auto", NULL }),
    OPT_FLAG('v', "version", T, version, "Print the version"),
    OPT_END,
};
#undef T
static const struct command global_command = {
    .name = "husk-oci",
    .args = "COMMAND [ARG...]",
    .summary = "An OCI runtime",
    .opts = global_options,
    .opts_size = sizeof(struct oci_global),
    .max_args = -1,
    .stop_at_arg = true,
    .fail_exit = 1,
};

static const struct command *const commands[] = {
    &oci_cmd_create, &oci_cmd_delete, &oci_cmd_exec, &oci_cmd_features, &oci_cmd_kill,  &oci_cmd_list,  &oci_cmd_pause,
    &oci_cmd_ps,     &oci_cmd_resume, &oci_cmd_run,  &oci_cmd_spec,     &oci_cmd_start, &oci_cmd_state, NULL,
};

const struct oci_global *oci_global(void)
{
    return &global;
}

bool oci_is_rootless(void)
{
    if (global.rootless && !str_eq(global.rootless, "auto"))
        return str_eq(global.rootless, "true");
    return geteuid() != 0 || ids_in_userns();
}

/* 0, 1 and 2 must be somebody's, or the first files opened would become the container's stdio. */
static void open_stdio(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", O_RDWR);
}

static fallible open_log(void)
{
    enum log_form form = str_eq(global.log_format, "json") ? LOG_FORM_JSON : LOG_FORM_TEXT;
    int fd = 2;
    if (global.debug)
        log_set_level(LOG_LEVEL_DEBUG);
    if (global.log && *global.log) {
        fd = open(global.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
            return err_sys(errno, "--log '%s'", global.log);
        /* out of the way of descriptors that --preserve-fds passes on */
        int high = fcntl(fd, F_DUPFD_CLOEXEC, 512);
        if (high >= 0) {
            (void)close(fd);
            fd = high;
        }
    }
    log_set_output(fd, form);
    return NULL;
}

/* The caller (containerd, CRI-O) reads the last line of the log, people read standard error. */
static int report(const char *verb, err *take_e, int fail_exit)
{
    own(err) err *e = take_e;
    int status = err_exit_status(e, fail_exit);
    if (!e || !*err_text(e))
        return status;
    if (global.log && *global.log)
        log_error("%s", err_text(e));
    fprintf(stderr, "husk-oci %s%s%s\n", verb, *verb ? ": " : "", err_text(e));
    return fail_exit == 255 ? 255 : err_is(e, ERR_EXEC_MISSING) || err_is(e, ERR_EXEC_DENIED) ? fail_exit : status;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (str_eq(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int run(const struct command *c, int argc, char **argv)
{
    struct args args = { 0 };
    bool help = false;
    void *opts = mem_zalloc(c->opts_size + 1);
    err *e = opt_parse(c, argc, argv, opts, &args, &help);
    int status = 0;
    if (help) {
        char *words[] = { argv[-1], argv[-1], (char[]){ "--help" }, NULL };
        status = command_main("husk-oci", global_command.summary, commands, 3, words, NULL);
    } else {
        if (!e)
            e = c->run(opts, args);
        status = report(c->name, e, c->fail_exit ? c->fail_exit : 1);
    }
    opt_clear(c, opts);
    free(opts);
    if (fflush(stdout) != 0 && status == 0)
        return 1;
    return status;
}

static int print_help(char *program)
{
    char *words[] = { program, (char[]){ "--help" }, NULL };
    int status = command_main("husk-oci", global_command.summary, commands, 2, words, NULL);
    printf("\nOptions before the command:\n");
    for (const struct opt *o = global_options; o->type != OPT_TYPE_END; o++) {
        own_mem char *name = mem_printf("--%s %s", o->name, o->value_name ? o->value_name : "");
        printf("  %-24s %s\n", name, o->help);
    }
    return fflush(stdout) ? 1 : status;
}

static int print_version(void)
{
    printf("husk-oci version " HUSK_VERSION "\nspec: " OCI_RUNTIME_VERSION "\n");
    return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct args args = { 0 };
    bool help = false;
    open_stdio();
    (void)signal(SIGPIPE, SIG_IGN); /* a reader of our log that leaves must not stop us halfway through a start */
    if (argc == 2 && str_eq(argv[1], "--introspect")) /* the tables, for man pages and completions */
        return command_main("husk-oci", global_command.summary, commands, argc, argv, NULL);
    err *e = opt_parse(&global_command, argc - 1, argv + 1, &global, &args, &help);
    if (!e)
        e = open_log();
    if (!e && global.systemd_cgroup)
        e = err_new(ERR_UNSUPPORTED, "--systemd-cgroup: husk makes control groups by itself; run without it, with "
                                     "cgroupsPath as a path");
    if (e)
        return report("", e, 1);
    if (global.version)
        return print_version();
    if (help || args.n == 0) {
        int status = print_help(argv[0]);
        return help ? status : 1;
    }
    const struct command *c = find(args.v[0]);
    if (!c) {
        (void)command_main("husk-oci", global_command.summary, commands, 2, (char *[]){ argv[0], args.v[0], NULL },
                           NULL);
        return 1;
    }
    return run(c, args.n - 1, args.v + 1);
}
