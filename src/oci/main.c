/*
 * husk-oci: an OCI runtime for containerd, dockerd, podman and CRI-O.
 * Compatible with: runc.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "codec/bind.h"
#include "oci/oci.h"
#include "os/ids.h"
#include "os/sock.h"

static struct oci_global global;

#define T struct oci_global
static const struct opt global_options[] = {
    OPT_STR(0, "root", T, root, "DIR", "Where containers' states are kept (default /run/husk-oci)"),
    OPT_STR(0, "log", T, log, "FILE", "Write the log there: [file:]FILE, syslog:NAME or journald:NAME"),
    OPT_STR(0, "log-format", T, log_format, "FORMAT", "text or json (default text)",
            .words = (const char *const[]){ "text", "json", NULL }),
    OPT_STR(0, "log-level", T, log_level, "LEVEL", "error, warning, info or debug (default warning)",
            .words = (const char *const[]){ "error", "warning", "warn", "info", "debug", NULL }),
    OPT_FLAG(0, "debug", T, debug, "Log each decision"),
    OPT_FLAG(0, "systemd-cgroup", T, systemd_cgroup, "Make control groups through systemd"),
    OPT_STR(0, "cgroup-manager", T, cgroup_manager, "NAME", "Who makes control groups: cgroupfs, systemd or disabled",
            .words = (const char *const[]){ "cgroupfs", "systemd", "disabled", NULL }),
    OPT_STR(0, "rootless", T, rootless, "WORD", "true, false or auto: whether control groups may be missing",
            .words = (const char *const[]){ "true", "false", "auto", NULL }),
    OPT_STR(0, "criu", T, criu, "PROGRAM", "The criu to use for checkpoint and restore (default criu)"),
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
    &oci_cmd_checkpoint,
    &oci_cmd_create,
    &oci_cmd_delete,
    &oci_cmd_events,
    &oci_cmd_exec,
    &oci_cmd_features,
    &oci_cmd_kill,
    &oci_cmd_list,
    &oci_cmd_mounts,
    &oci_cmd_pause,
    &oci_cmd_ps,
    &oci_cmd_restore,
    &oci_cmd_resume,
    &oci_cmd_run,
    &oci_cmd_spec,
    &oci_cmd_start,
    &oci_cmd_state,
    &oci_cmd_update,
    NULL,
};
static const struct command_program husk_oci = { .name = "husk-oci",
                                                 .summary = "An OCI runtime",
                                                 .commands = commands };

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

enum runtime_cgroup oci_cgroup(void)
{
    if (global.systemd_cgroup || str_eq(global.cgroup_manager, "systemd"))
        return RUNTIME_CGROUP_SYSTEMD;
    return str_eq(global.cgroup_manager, "disabled") ? RUNTIME_CGROUP_NONE : RUNTIME_CGROUP_AUTO;
}

/* 0, 1 and 2 must be somebody's, or the first files opened would become the container's stdio. */
static void open_stdio(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", O_RDWR);
}

/* out of the way of descriptors that --preserve-fds passes on */
static int moved_high(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 512);
    if (high < 0)
        return fd;
    (void)close(fd);
    return high;
}

/* crun's destinations beside files: both are the socket of syslog(3), and journald listens on one more of its own. */
static fallible open_system_log(const char *option)
{
    static const struct {
        const char *prefix, *socket;
    } kinds[] = { { "syslog:", "/dev/log" }, { "journald:", "/run/systemd/journal/dev-log" } };
    int fd = -1;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!str_starts(option, kinds[i].prefix))
            continue;
        const char *name = option + strlen(kinds[i].prefix);
        TRY_AS(sock_connect_at(AT_FDCWD, kinds[i].socket, SOCK_DGRAM, &fd), "--log '%s': connect to '%s'", option,
               kinds[i].socket);
        log_set_syslog(moved_high(fd), *name ? name : "husk-oci");
    }
    return NULL;
}

static fallible open_log(void)
{
    enum log_form form = str_eq(global.log_format, "json") ? LOG_FORM_JSON : LOG_FORM_TEXT;
    const char *file = global.log, *level = global.log_level;
    enum log_level found = LOG_LEVEL_WARN;
    if (level && log_level_parse(str_eq(level, "warning") ? "warn" : level, &found))
        log_set_level(found);
    if (global.debug)
        log_set_level(LOG_LEVEL_DEBUG);
    log_set_output(2, form);
    if (!file || !*file)
        return NULL;
    if (str_starts(file, "syslog:") || str_starts(file, "journald:"))
        return open_system_log(file);
    int fd = open(str_starts(file, "file:") ? file + 5 : file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(errno, "--log '%s'", file);
    log_set_output(moved_high(fd), form);
    return NULL;
}

/*
 * Engines look into the text for what kind of failure it was: these are the words, for the errors whose own words are
 * others. Who looks for which, and where that was found: docs/design/oci.md.
 */
static const struct {
    const char *verbs; /* NULL: all */
    enum err_kind kind;
    const char *words;
} engine_words[] = {
    { " kill exec events update pause checkpoint mounts ", ERR_CONFLICT, ": container not running" },
    { NULL, ERR_EXEC_MISSING, ": executable file not found in $PATH" },
};

static const char *words_of(const char *verb, const err *e)
{
    own_mem char *word = mem_printf(" %s ", verb);
    for (size_t i = 0; i < ARRAY_SIZE(engine_words); i++)
        if (err_is(e, engine_words[i].kind) && !(err_is(e, ERR_CONFLICT) && err_errno(e)) &&
            (!engine_words[i].verbs || strstr(engine_words[i].verbs, word)))
            return engine_words[i].words;
    return "";
}

/* In lower case at the end: docker's client looks for "permission denied" in exactly these letters
 * (cli/command/container/ run.go, runStartContainerErr), dockerd for "not a directory" (daemon/errors.go,
 * translateContainerdStartErr). */
static char *as_go_spells(const err *e)
{
    char *text = mem_strdup(err_text(e));
    const char *word = err_errno(e) ? strerror(err_errno(e)) : "";
    size_t len = strlen(text), n = strlen(word);
    if (n && n < len && str_eq(text + len - n, word))
        text[len - n] = (char)tolower((unsigned char)text[len - n]);
    return text;
}

/* The caller (containerd, CRI-O) reads the last line of the log, people read standard error. */
static int report(const char *verb, err *take_e, int fail_exit)
{
    own(err) err *e = take_e;
    int status = err_exit_status(e, fail_exit);
    if (!e || !*err_text(e))
        return status;
    const char *words = words_of(verb, e);
    own_mem char *for_engine = as_go_spells(e);
    if (global.log && *global.log)
        log_error("%s%s", for_engine, words);
    fprintf(stderr, "husk-oci %s%s%s%s\n", verb, *verb ? ": " : "", err_text(e), words);
    return fail_exit == 255 ? 255 : err_is(e, ERR_EXEC_MISSING) || err_is(e, ERR_EXEC_DENIED) ? fail_exit : status;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (str_eq(commands[i]->name, name))
            return commands[i];
    return NULL;
}

/* runc's parser takes one dash for two, and containerd's restore gives "-no-subreaper". Not where a program's own
 * arguments follow. */
static void double_dashes(const struct command *c, int argc, char **argv)
{
    for (int i = 0; i < argc && !c->stop_at_arg && !str_eq(argv[i], "--"); i++) {
        size_t n = argv[i][0] == '-' && argv[i][1] != '-' ? strcspn(argv[i] + 1, "=") : 0;
        for (const struct opt *o = c->opts; n > 1 && o->type != OPT_TYPE_END; o++)
            if (o->name && strlen(o->name) == n && strncmp(o->name, argv[i] + 1, n) == 0) {
                argv[i] = mem_printf("-%s", argv[i]); /* until the end */
                break;
            }
    }
}

static int run(const struct command *c, int argc, char **argv)
{
    struct args args = { 0 };
    bool help = false;
    void *opts = mem_zalloc(c->opts_size + 1);
    double_dashes(c, argc, argv);
    err *e = opt_parse(c, argc, argv, opts, &args, &help);
    int status = 0;
    if (help) {
        char *words[] = { argv[-1], argv[-1], (char[]){ "--help" }, NULL };
        status = command_main(&husk_oci, 3, words);
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
    int status = command_main(&husk_oci, 2, words);
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
    json_seed();
    (void)signal(SIGPIPE, SIG_IGN); /* a reader of our log that leaves must not stop us halfway through a start */
    if (argc == 2 && (str_eq(argv[1], "-?") || str_eq(argv[1], "--usage"))) /* crun's */
        return print_help(argv[0]);
    if (argc == 2 && str_eq(argv[1], "-V"))
        return print_version();
    if (argc == 2 && str_eq(argv[1], "--introspect")) /* the tables, for man pages and completions */
        return command_main(&husk_oci, argc, argv);
    err *e = opt_parse(&global_command, argc - 1, argv + 1, &global, &args, &help);
    if (!e)
        e = open_log();
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
        (void)command_main(&husk_oci, 2, (char *[]){ argv[0], args.v[0], NULL });
        return 1;
    }
    return run(c, args.n - 1, args.v + 1);
}
