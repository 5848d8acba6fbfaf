/*
 * husk: the command line. One table names every command; image work that needs large libraries is husk-image's, and a
 * word that is in no table is looked for as libexec/husk/husk-WORD.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/elsewhere.h"
#include "codec/bind.h"
#include "engine/budget.h"
#include "image/settings.h"
#include "os/proc.h"

/* Rows for the list of commands only: these go to husk-image with all their arguments before anything is parsed. */
#define IMAGE_COMMAND(id, word, what)                                                                                  \
    static const struct command image_##id = { .name = word, .summary = what, .max_args = -1 }
IMAGE_COMMAND(pull, "pull", "Fetch images from a registry");
IMAGE_COMMAND(push, "push", "Send an image to a registry");
IMAGE_COMMAND(login, "login", "Log in to a registry");
IMAGE_COMMAND(logout, "logout", "Forget a registry's credentials");
IMAGE_COMMAND(search, "search", "Search a registry for images");
IMAGE_COMMAND(tags, "tags", "List the tags that a registry has of a repository");
IMAGE_COMMAND(artifact, "artifact", "Manage OCI artifacts: any files under an image's name");
IMAGE_COMMAND(manifest, "manifest", "Make, change and look at indexes of several platforms");
IMAGE_COMMAND(load, "load", "Load images from an archive or an OCI layout");
IMAGE_COMMAND(save, "save", "Write images to an archive, a directory or a pipe");
IMAGE_COMMAND(copy, "copy", "Copy an image from any place to any other");
IMAGE_COMMAND(import, "import", "Make an image of a root file system's tar");
IMAGE_COMMAND(bootstrap, "bootstrap", "Make a Debian base image from the system's mirror");
IMAGE_COMMAND(rootfs, "rootfs", "Make root file systems");
IMAGE_COMMAND(verify, "verify", "Compare the bytes of images with their digests");

/* The same for husk-build. */
IMAGE_COMMAND(build, "build", "Make an image of a Dockerfile");
IMAGE_COMMAND(builder, "builder", "Manage the build cache");

COMMAND_HEADING(heading_containers, "Containers");
COMMAND_HEADING(heading_looking, "What containers are and do");
COMMAND_HEADING(heading_images, "Images");
COMMAND_HEADING(heading_around, "Around containers");
COMMAND_HEADING(heading_itself, "husk itself");

static const struct command *const commands[] = {
    // clang-format off: one a line, since many hands add to it
    &heading_containers,
    &cmd_run,
    &cmd_create,
    &cmd_init,
    &cmd_start,
    &cmd_stop,
    &cmd_restart,
    &cmd_kill,
    &cmd_pause,
    &cmd_unpause,
    &cmd_wait,
    &cmd_rm,
    &cmd_rename,
    &cmd_update,
    &cmd_exec,
    &cmd_attach,
    &cmd_cp,
    &cmd_commit,
    &cmd_export,
    &cmd_mount,
    &cmd_unmount,
    &cmd_umount,
    &cmd_debug,
    &cmd_healthcheck,
    &cmd_container,
    &heading_looking,
    &cmd_ps,
    &cmd_logs,
    &cmd_inspect,
    &cmd_why,
    &cmd_explain,
    &cmd_top,
    &cmd_stats,
    &cmd_events,
    &cmd_port,
    &cmd_diff,
    &heading_images,
    &cmd_images,
    &image_pull,
    &image_push,
    &image_build,
    &image_builder,
    &image_load,
    &image_save,
    &image_import,
    &image_copy,
    &image_bootstrap,
    &image_rootfs,
    &cmd_tag,
    &cmd_untag,
    &cmd_rmi,
    &cmd_history,
    &image_verify,
    &cmd_image,
    &image_manifest,
    &image_artifact,
    &image_search,
    &image_tags,
    &image_login,
    &image_logout,
    &heading_around,
    &cmd_pod,
    &cmd_network,
    &cmd_volume,
    &cmd_secret,
    &heading_itself,
    &cmd_info,
    &cmd_system,
    &cmd_undo,
    &cmd_trash,
    &cmd_autostart,
    &cmd_unshare,
    &cmd_completion,
    &cmd_version,
    &cmd_health_probe,
    &cmd_network_names,
    &cmd_network_leases,
    &cmd_container_cleanup,
    &cmd_container_restart,
    &elsewhere_auto_update,
    &elsewhere_buildx,
    &cmd_checkpoint,
    &elsewhere_compose,
    &elsewhere_config,
    &elsewhere_context,
    &elsewhere_farm,
    &elsewhere_generate,
    &elsewhere_kube,
    &elsewhere_machine,
    &elsewhere_node,
    &elsewhere_play,
    &elsewhere_plugin,
    &elsewhere_quadlet,
    &elsewhere_service,
    &elsewhere_stack,
    &elsewhere_swarm,
    &elsewhere_trust,
    // clang-format on
    NULL,
};

/* argv[0] is the word. Returns only when there is no such program. */
static bool run_program(const char *name, const char *word, char **argv)
{
    own_mem char *path = NULL;
    err *e = self_find_program(name, &path);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return false;
    }
    if (!e) {
        (void)execv(path, argv);
        e = err_sys(errno, "run '%s'", path);
    }
    fprintf(stderr, "husk %s: %s\n", word, err_text(e));
    err_free(e);
    _exit(125);
}

/* Where the settings ask for it, what an image displaces goes when it is there: that is known only here, by the
 * containers. Answers the exit status. */
static int run_and_settle(char **argv)
{
    own(engine) struct engine *engine = NULL;
    own_mem char *path = NULL;
    struct timespec now;
    int status = 0;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    struct spawn s = { .argv = argv, .stdin_fd = STDIN_FILENO, .stdout_fd = STDOUT_FILENO, .stderr_fd = STDERR_FILENO };
    err *e = self_find_program("husk-image", &path);
    char *word = argv[1];
    argv[0] = path;
    if (!e)
        e = spawn_wait(&s, &status);
    if (!e && proc_exit_code(status) != 0)
        return proc_exit_code(status);
    if (!e)
        e = engine_open(&engine);
    if (!e)
        e = budget_settle(engine, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    if (!e)
        return 0;
    fprintf(stderr, "husk %s: %s\n", word, err_text(e));
    err_free(e);
    return 1;
}

static bool adds_images(const char *word)
{
    static const char *const words[] = { "pull", "load", "import", "bootstrap" };
    struct settings settings = { .keep_blobs = true };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(word, words[i]) != 0)
            continue;
        err *e = settings_read(&settings);
        if (e) {
            fprintf(stderr, "husk %s: %s\n", word, err_text(e));
            _exit(125);
        }
    }
    return !settings.keep_blobs || settings.budget > 0;
}

/* husk-image has the word itself as its first argument, as husk does; `husk image pull` is `husk pull`. */
static void run_image_command(int argc, char **argv)
{
    bool mine = false;
    if (argc > 2 && strcmp(argv[1], "image") == 0) {
        argc--;
        argv++;
    }
    for (size_t i = 0; argc > 1 && commands[i]; i++)
        mine |= !commands[i]->run && !commands[i]->sub && !commands[i]->elsewhere && !commands[i]->heading &&
                strcmp(argv[1], commands[i]->name) == 0;
    if (mine && adds_images(argv[1]))
        _exit(run_and_settle(argv));
    if (mine && !run_program("husk-image", argv[1], argv)) {
        fprintf(stderr, "husk %s: there is no husk-image beside husk in libexec/husk: install it\n", argv[1]);
        _exit(125);
    }
}

/* Before the image commands: these rows are husk-build's. `husk image build` is `husk build`. */
static void run_build_command(int argc, char **argv)
{
    static const char *const words[] = { "build", "builder", "bud" };
    if (argc > 2 && strcmp(argv[1], "image") == 0 && strcmp(argv[2], "build") == 0) {
        argc--;
        argv++;
    }
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(words); i++)
        if (strcmp(argv[1], words[i]) == 0 && !run_program("husk-build", argv[1], argv)) {
            fprintf(stderr, "husk %s: there is no husk-build beside husk in libexec/husk: install it\n", argv[1]);
            _exit(125);
        }
}

/* docker's other spelling of what husk-build and the lists of platforms do: argv is shortened to husk's own. */
static void take_buildx(int *argc, char **argv)
{
    static const struct {
        const char *word, *command, *sub;
    } words[] = { { "build", "build", NULL },      { "b", "build", NULL },         { "du", "builder", "du" },
                  { "prune", "builder", "prune" }, { "version", "version", NULL }, { "imagetools", "manifest", NULL } };
    if (*argc < 3 || !str_eq(argv[1], "buildx"))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (!str_eq(argv[2], words[i].word) ||
            (str_eq(argv[2], "imagetools") && (*argc < 4 || !str_eq(argv[3], "inspect"))))
            continue;
        argv[1] = (char *)words[i].command;
        if (words[i].sub) {
            argv[2] = (char *)words[i].sub;
            return;
        }
        memmove(argv + 2, argv + 3, (size_t)(*argc - 2) * sizeof *argv);
        (*argc)--;
        return;
    }
}

/* `husk image WORD` that another program carries out; argv stays as it is. */
static void run_image_word(int argc, char **argv, const char *const *words, const char *program)
{
    bool mine = false;
    if (argc < 3 || strcmp(argv[1], "image") != 0)
        return;
    for (size_t i = 0; words[i]; i++)
        mine |= strcmp(argv[2], words[i]) == 0;
    if (mine && !run_program(program, argv[1], argv)) {
        fprintf(stderr, "husk image %s: there is no %s beside husk in libexec/husk: install it\n", argv[2], program);
        _exit(125);
    }
}

static bool run_other(int argc, char **argv)
{
    own_mem char *name = mem_printf("husk-%s", argv[0]);
    return !strchr(argv[0], '/') && argv[0][0] != '-' && run_program(name, argv[0], argv);
}

static const struct command_program program = {
    .name = "husk",
    .summary = "A container engine without a daemon",
    .commands = commands,
    .wrong_option_exit = 125,
    .fallback = run_other,
};

int main(int argc, char **argv)
{
    (void)umask(022); /* files of a container have the modes that we say, not what the caller's shell subtracts */
    int status = 0;
    if (global_take(&argc, &argv, &status))
        return status;
    json_seed();
    if (argc > 2 && str_eq(argv[1], "help")) { /* docker's `help run` is `run --help` */
        static char help_word[] = "--help";
        memmove(argv + 1, argv + 2, (size_t)(argc - 2) * sizeof *argv);
        argv[argc - 1] = help_word;
    }
    take_buildx(&argc, argv);
    run_image_word(argc, argv, image_trust_words, "husk-image"); /* before: `husk verify` is another one */
    run_build_command(argc, argv);
    run_image_command(argc, argv);
    run_image_word(argc, argv, image_look_words, "husk-look");
    status = command_main(&program, argc, argv);
    if (status == 0 && argc == 2 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h") || str_eq(argv[1], "help")))
        global_help();
    return status;
}
