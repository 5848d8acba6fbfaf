/*
 * husk import: a root filesystem's tar becomes an image.
 * Compatible with: docker import, podman import.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>

#include "cli/image_common.h"
#include "cli/image_foreign.h"
#include "cli/image_remote.h"
#include "image/change.h"
#include "image/ref.h"
#include "layers/import.h"
#include "os/proc.h"
#include "transport/trust.h"

struct import_opts {
    struct strv changes;
    const char *message, *platform, *os, *architecture, *variant;
    const char *from, *root, *policy;
    bool all, packed, quiet;
};

#define T struct import_opts
static const struct opt import_rows[] = {
    OPT_FLAG('a', "all", T, all, "With --from: all of its images"),
    OPT_STRS('c', "change", T, changes, "INSTRUCTION", "Set part of the config: \"CMD [\\\"sh\\\"]\", \"ENV A=1\" ..."),
    OPT_STR(0, "from", T, from, "ENGINE",
            "List the images of another engine's store, or take over those that are named", .words = import_engines),
    OPT_STR('m', "message", T, message, "TEXT", "Comment in the image's history"),
    OPT_FLAG(0, "packed", T, packed,
             "With --from: keep the layers' tars as well, instead of making them when they are pushed or saved"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "What the files are for (default: this machine)"),
    OPT_STR(0, "arch", T, architecture, "ARCH", "The machine, as in --platform"),
    OPT_STR(0, "os", T, os, "OS", "The system, as in --platform"),
    OPT_STR(0, "variant", T, variant, "VARIANT", "The variant, as in --platform"),
    OPT_FLAG('q', "quiet", T, quiet, "Nothing but the image's ID, which is all that is ever printed"),
    OPT_STR(0, "root", T, root, "DIR", "With --from: its store is here (default: where its configuration says)"),
    POLICY_OPTION(T),
    OPT_END,
};
#undef T

static void free_run(struct oci_image_run *run)
{
    own(oci_image_config) struct oci_image_config *c = mem_zalloc(sizeof *c); /* frees it by its table */
    c->config = run;
}
OWN_TYPE(run, struct oci_image_run *, free_run)

/* The tar, and who sends it: -1 for a file. */
struct tar_source {
    int fd, pidfd;
    struct spawn program;
    char *argv[5];
    char *path;
};
static void own_drop_tar_source(struct tar_source *s)
{
    if (s->pidfd >= 0)
        (void)pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
    close_now(&s->fd);
    close_now(&s->pidfd);
    free(s->path);
}

/* By a process of its own, since the one that unpacks is confined: it sees neither certificates nor the network. */
static fallible open_url(const char *url, struct tar_source *ret)
{
    int pair[2];
    TRY(self_find_program("husk-image", &ret->path));
    if (pipe2(pair, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int reading = pair[0], writing = pair[1];
    char *argv[] = { ret->path, (char *)"download", (char *)(uintptr_t)url, (char *)"-", NULL };
    memcpy(ret->argv, argv, sizeof argv);
    ret->program = (struct spawn){ .argv = ret->argv, .stdin_fd = -1, .stdout_fd = writing, .stderr_fd = -1 };
    TRY(spawn_start(&ret->program, &ret->pidfd));
    ret->fd = take_fd(&reading);
    return NULL;
}

static fallible open_tar(const char *path, struct tar_source *ret)
{
    bool is_stdin = str_eq(path, "-");
    if (str_starts(path, "http://") || str_starts(path, "https://"))
        return open_url(path, ret);
    if (strstr(path, "://"))
        return err_new(ERR_UNSUPPORTED, "'%s': import fetches http and https, and reads files and pipes", path);
    ret->fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (ret->fd < 0)
        return err_sys(errno, "open '%s'", is_stdin ? "standard input" : path);
    if (is_stdin && isatty(ret->fd))
        return err_new(ERR_INVALID, "standard input is a terminal: send a tar by a pipe");
    return NULL;
}

static fallible set_name(struct layout *l, const char *name, const struct oci_descriptor *target)
{
    return name ? layout_set_name(l, name, target) : layout_add_unnamed(l, target);
}

/* What came by a download that failed is half of it. */
static fallible end_download(struct tar_source *from)
{
    int status = 0;
    if (from->pidfd < 0)
        return NULL;
    close_now(&from->fd); /* it may have more to send than was wanted */
    TRY(spawn_end(&from->program, from->pidfd, &status));
    close_now(&from->pidfd);
    int code = proc_exit_code(status);
    return code == 0 || code == 128 + SIGPIPE ? NULL : err_exit(1); /* it has said why */
}

static fallible import_tar(const struct import *i, const char *name, const char *path, struct tar_source *from)
{
    own(image_session) struct image_session *s = NULL;
    own(import_target) struct oci_descriptor *target = NULL;
    own_mem char *id = NULL;
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    err *e = import_image(s->store, i, &target, &id);
    err *sent = end_download(from);
    if (sent) {
        err_ignore(e, "the cause is that the download failed");
        return image_session_failed(s, ATTEMPT_WHOLE, sent);
    }
    e = e ? err_wrap(e, "'%s'", path) : set_name(s->store, name, target);
    TRY(image_session_failed(s, ATTEMPT_WHOLE, e));
    image_say(s, "import", id, name ? name : id);
    printf("%s\n", id);
    return NULL;
}

static fallible full_name(const char *text, char **ret)
{
    own(ref) struct ref *ref = NULL;
    TRY(ref_parse(text, &ref));
    if (ref->digest)
        return err_new(ERR_INVALID, "'%s': a new image's digest cannot be chosen", text);
    *ret = ref_full(ref);
    return NULL;
}

static fallible import_run(const void *opts_, struct args args)
{
    const struct import_opts *opts = opts_;
    if (opts->from) {
        struct foreign_wish wish = { opts->from, opts->root, opts->policy, opts->all, opts->packed };
        return import_foreign(&wish, args);
    }
    if (args.n < 1 || args.n > 2)
        return err_new(ERR_INVALID, "needs FILE|URL|- [IMAGE], or --from");
    if (opts->all || opts->packed || opts->root)
        return err_new(ERR_INVALID, "--all, --packed and --root are for --from");
    const char *path = args.v[0];
    own(run) struct oci_image_run *run = mem_zalloc(sizeof *run);
    own(policy) struct policy *policy = NULL;
    own_mem char *comment = opts->message ? mem_strdup(opts->message) : mem_printf("Imported from %s", path);
    own_mem char *platform = NULL;
    own_mem char *name = NULL;
    own(tar_source) struct tar_source from = { .fd = -1, .pidfd = -1 };
    for (size_t i = 0; i < opts->changes.n; i++)
        TRY_AS(change_apply(opts->changes.items[i], run), "--change");
    if (opts->platform)
        TRY_AS(platform_parse(opts->platform, &platform), "--platform");
    if (opts->platform && (opts->os || opts->architecture || opts->variant))
        return err_new(ERR_INVALID, "--platform and --os, --arch, --variant exclude each other");
    TRY_AS(platform_of_words(opts->os, opts->architecture, opts->variant, &platform), "--arch");
    if (args.n > 1)
        TRY(full_name(args.v[1], &name));
    TRY(policy_load(opts->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY_AS(trust_admit_tar(policy), "'%s'", path);
    TRY(open_tar(path, &from));
    struct import i = { .fd = from.fd,
                        .run = run,
                        .platform = platform,
                        .comment = comment,
                        .created_ns = (int64_t)time(NULL) * 1000000000 };
    return import_tar(&i, name, path, &from);
}

const struct command cmd_import = {
    .name = "import",
    .args = "FILE|URL|- [IMAGE] | --from ENGINE [IMAGE...]",
    .summary = "Make an image of a root filesystem's tar",
    .detail =
        "The tar may be plain or packed with gzip, zstd, xz or bzip2; a URL is fetched by http or https. Prints the "
        "image's ID. --change takes one\n"
        "instruction of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, "
        "WORKDIR.\n"
        "\n"
        "--from podman and --from docker read the other engine's store where it lies (overlay; root's or one's own) "
        "and\n"
        "write nothing there. Files become hard links, clones where the file system has them, or else copies; which "
        "is\n"
        "said on stderr. Each layer's digest is checked. The image keeps its ID. Its packed layers are not in those\n"
        "stores: a push or a save makes plain ones of the files, byte for byte what the layer's digest says.",
    .opts = import_rows,
    .opts_size = sizeof(struct import_opts),
    .min_args = 0,
    .max_args = -1,
    .complete_args = COMPLETE_FILE,
    .fail_exit = 1,
    .run = import_run,
};
