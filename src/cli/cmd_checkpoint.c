/*
 * husk checkpoint, husk container checkpoint, husk container restore: a container's processes as files, and on again.
 * Compatible with: docker checkpoint, podman container checkpoint, podman container restore.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>

#include "cli/cli.h"
#include "cli/outfile.h"
#include "cli/table.h"
#include "engine/checkpoint_archive.h"

struct checkpoint_opts {
    struct container_selection select;
    struct checkpoint_options how;
    const char *dir;
    struct checkpoint_archive archive;
    bool quiet, print_stats;
    const char *format, *image, *pod, *previous;
};

#define T struct checkpoint_opts
#define DIR_OPTION                                                                                                     \
    OPT_STR(0, "checkpoint-dir", T, how.dir, "DIR", "Where checkpoints are (default: with the container)")
static const struct opt create_options[] = {
    DIR_OPTION,
    OPT_FLAG(0, "leave-running", T, how.leave_running, "Let the container go on"),
    OPT_FLAG(0, "tcp-established", T, how.tcp_established, "With open TCP connections"),
    OPT_FLAG(0, "file-locks", T, how.file_locks, "With file locks"),
    OPT_END,
};
static const struct opt ls_options[] = {
    DIR_OPTION,
    OPT_FLAG('q', "quiet", T, quiet, "Only names"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Name}}'"),
    OPT_END,
};
static const struct opt rm_options[] = { DIR_OPTION, OPT_END };
static const struct opt checkpoint_options[] = {
    OPT_FLAG('a', "all", T, select.all, "Every one that runs"),
    OPT_FLAG('l', "latest", T, select.latest, "The one that was made last"),
    OPT_FLAG('R', "leave-running", T, how.leave_running, "Let it go on"),
    OPT_FLAG('k', "keep", T, how.keep, "Keep CRIU's log as well"),
    OPT_FLAG('P', "pre-checkpoint", T, how.pre_dump, "Its memory alone, while it goes on: for --with-previous"),
    OPT_FLAG(0, "with-previous", T, how.with_previous, "Without what is as it was at --pre-checkpoint"),
    OPT_FLAG(0, "tcp-established", T, how.tcp_established, "With open TCP connections"),
    OPT_FLAG(0, "file-locks", T, how.file_locks, "With file locks"),
    OPT_FLAG(0, "print-stats", T, print_stats, "Say in JSON how long it took, and how much was written"),
    OPT_STR('e', "export", T, archive.file, "FILE", "Into an archive, for another host: its writable layer too"),
    OPT_STR('c', "compress", T, archive.compress, "HOW", "With --export: zstd (default), gzip, none"),
    OPT_FLAG(0, "ignore-rootfs", T, archive.no_rootfs, "With --export: without its writable layer"),
    OPT_FLAG(0, "ignore-volumes", T, archive.no_volumes,
             "With --export: its volumes will be there (they are not put in)"),
    OPT_GROUP("Refused"),
    OPT_STR(0, "create-image", T, image, "IMAGE", "Refused: --export makes an archive"),
    OPT_END,
};
static const struct opt restore_options[] = {
    OPT_FLAG('a', "all", T, select.all, "Every one that has such a checkpoint and does not run"),
    OPT_FLAG('l', "latest", T, select.latest, "The one that was made last"),
    OPT_FLAG('k', "keep", T, how.keep, "Keep the checkpoint: it can be restored again"),
    OPT_FLAG(0, "tcp-established", T, how.tcp_established, "With open TCP connections"),
    OPT_FLAG(0, "file-locks", T, how.file_locks, "With file locks"),
    OPT_FLAG(0, "tcp-close", T, how.tcp_close, "Open TCP connections come back closed"),
    OPT_FLAG(0, "print-stats", T, print_stats, "Say in JSON how long it took, and how much was read"),
    OPT_STR('i', "import", T, archive.file, "FILE", "Make the container of such an archive, and let it go on"),
    OPT_STR('n', "name", T, archive.name, "NAME", "With --import: its name (default: the one that it had)"),
    OPT_FLAG(0, "ignore-rootfs", T, archive.no_rootfs, "With --import: without its writable layer"),
    OPT_FLAG(0, "ignore-volumes", T, archive.no_volumes, "As always: an archive has none"),
    OPT_STRS('p', "publish", T, archive.publish, "PORT", "With --import: these ports, and not those that it had"),
    OPT_FLAG(0, "ignore-static-ip", T, archive.no_static_ip, "With --import: any address, not those it asked for"),
    OPT_FLAG(0, "ignore-static-mac", T, archive.no_static_mac, "With --import: likewise its hardware addresses"),
    OPT_GROUP("Refused"),
    OPT_STR(0, "import-previous", T, previous, "FILE", "Refused: archives are whole"),
    OPT_STR(0, "pod", T, pod, "POD", "Refused: containers of pods are not checkpointed"),
    OPT_END,
};
#undef T

static fallible find(const char *name, struct engine **engine, struct container **ret)
{
    TRY(engine_open(engine));
    return container_find(*engine, name, ret);
}

static fallible create_run(const void *opts, struct args args)
{
    const struct checkpoint_opts *o = opts;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    struct checkpoint_options how = o->how;
    struct checkpoint_stats stats;
    how.name = args.v[1];
    TRY(find(args.v[0], &engine, &c));
    TRY(container_checkpoint(c, &how, &stats));
    printf("%s\n", how.name);
    return NULL;
}

static const struct table_column columns[] = { { "CHECKPOINT NAME", "Name" }, { 0 } };

static fallible ls_run(const void *opts, struct args args)
{
    const struct checkpoint_opts *o = opts;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_strv struct strv names = { 0 };
    own_json json_t *rows = json_array();
    TRY(find(args.v[0], &engine, &c));
    TRY(checkpoint_list(c, o->how.dir, &names));
    for (size_t i = 0; i < names.n; i++)
        (void)json_array_append_new(rows, json_pack("{s:s}", "Name", names.items[i]));
    return table_print(columns, rows, o->format ? o->format : o->quiet ? "{{.Name}}" : NULL);
}

static fallible rm_run(const void *opts, struct args args)
{
    const struct checkpoint_opts *o = opts;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    TRY(find(args.v[0], &engine, &c));
    return checkpoint_remove(c, o->how.dir, args.v[1]);
}

/* ---- podman's ---- */

struct doing {
    struct engine *engine;
    const struct checkpoint_opts *o;
    json_t *stats;
    int64_t whole_us;
};

static void note(struct doing *d, const struct container *c, const char *duration, int64_t us, json_t *take_criu)
{
    d->whole_us += us;
    (void)json_array_append_new(d->stats, json_pack("{s:s, s:I, s:o}", "Id", c->row.id, duration, (json_int_t)us,
                                                    "criu_statistics", take_criu));
}

static fallible export(struct container *c, const struct checkpoint_archive *a, struct outfile *file)
{
    own_fd int fd = outfile_fd(file);
    if (fd < 0)
        return err_sys(errno, "--export: open '%s'", a->file);
    TRY(checkpoint_export(c, NULL, a, fd));
    TRY_AS(outfile_finish(file), "--export '%s'", a->file);
    return NULL;
}

static err *checkpoint_one(const char *name, void *ctx)
{
    struct doing *d = ctx;
    struct checkpoint_stats s;
    own(container) struct container *c = NULL;
    own(outfile) struct outfile *file = NULL;
    const struct checkpoint_archive *a = d->o->archive.file ? &d->o->archive : NULL;
    TRY(container_find(d->engine, name, &c));
    if (a) { /* what is in the way of the archive is said while the container runs */
        TRY(checkpoint_export_check(c, a));
        TRY_AS(outfile_open(a->file, 0600, &file), "--export");
    }
    TRY(container_checkpoint(c, &d->o->how, &s));
    if (a)
        TRY_AS(export(c, a, file), "container '%s' is checkpointed, but", name);
    if (a && !d->o->how.keep)
        TRY(checkpoint_remove(c, NULL, CHECKPOINT_DEFAULT));
    if (!d->o->print_stats)
        printf("%s\n", name);
    note(d, c, "runtime_checkpoint_duration", s.whole_us,
         json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "freezing_time", (json_int_t)s.freezing_us, "frozen_time",
                   (json_int_t)s.frozen_us, "memdump_time", (json_int_t)s.memdump_us, "memwrite_time",
                   (json_int_t)s.memwrite_us, "pages_scanned", (json_int_t)s.pages_scanned, "pages_written",
                   (json_int_t)s.pages_written));
    return NULL;
}

static err *restore_one(const char *name, void *ctx)
{
    struct doing *d = ctx;
    struct checkpoint_stats s;
    own(container) struct container *c = NULL;
    TRY(container_find(d->engine, name, &c));
    if (d->o->select.all && !checkpoint_exists(c, NULL, CHECKPOINT_DEFAULT))
        return NULL;
    TRY(container_restore(c, &d->o->how, NULL, &s));
    if (!d->o->print_stats)
        printf("%s\n", name);
    if (!d->o->how.keep)
        TRY(checkpoint_remove(c, NULL, CHECKPOINT_DEFAULT));
    note(d, c, "runtime_restore_duration", s.whole_us,
         json_pack("{s:I, s:I, s:I}", "forking_time", (json_int_t)s.forking_us, "restore_time",
                   (json_int_t)s.restore_us, "pages_restored", (json_int_t)s.pages_restored));
    return NULL;
}

static fallible check_refused(const struct checkpoint_opts *o)
{
    const struct {
        const char *option;
        bool said;
        const char *why;
    } refused[] = {
        { "--create-image", o->image != NULL, "an archive is made by --export" },
        { "--import-previous", o->previous != NULL, "archives are whole: --import is enough" },
        { "--pod", o->pod != NULL, "containers of pods are not checkpointed" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (refused[i].said)
            return err_new(ERR_UNSUPPORTED, "%s: %s", refused[i].option, refused[i].why);
    return NULL;
}

static void print_stats(const struct doing *d, const char *duration)
{
    own_json json_t *doc = json_pack("{s:I, s:O}", duration, (json_int_t)d->whole_us, "container_statistics", d->stats);
    own_mem char *text = json_text(doc, BIND_INDENTED);
    printf("%s\n", text);
}

typedef err *one_fn(const char *name, void *ctx);
static fallible each(const struct checkpoint_opts *o, const char *command, enum select_among among, struct args args,
                     one_fn *fn, const char *duration)
{
    own(engine) struct engine *engine = NULL;
    own_strv struct strv names = { 0 };
    own_json json_t *list = json_array();
    TRY(check_refused(o));
    TRY(engine_open(&engine));
    TRY(container_select(engine, &o->select, among, args.v, (size_t)args.n, &names));
    struct doing d = { .engine = engine, .o = o, .stats = list };
    err *e = command_each(command, (struct args){ names.items, (int)names.n }, fn, &d);
    if (o->print_stats)
        print_stats(&d, duration);
    return e;
}

static fallible container_checkpoint_run(const void *opts, struct args args)
{
    const struct checkpoint_opts *o = opts;
    if (o->how.pre_dump && o->how.with_previous)
        return err_new(ERR_INVALID, "--pre-checkpoint and --with-previous exclude each other");
    if (o->archive.file && (o->how.pre_dump || o->how.with_previous))
        return err_new(ERR_INVALID, "--export: an archive is whole: leave out --%s",
                       o->how.pre_dump ? "pre-checkpoint" : "with-previous");
    if (o->archive.file && (o->select.all || args.n > 1))
        return err_new(ERR_INVALID, "--export: one container at a time goes into an archive");
    if (!o->archive.file && (o->archive.compress || o->archive.no_rootfs || o->archive.no_volumes))
        return err_new(ERR_INVALID, "--compress, --ignore-rootfs and --ignore-volumes are for --export");
    return each(o, "husk container checkpoint", SELECT_RUNNING, args, checkpoint_one, "podman_checkpoint_duration");
}

/* All or nothing: what cannot go on is not left behind. */
static fallible restore_archive(const struct checkpoint_opts *o)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_json json_t *list = json_array();
    TRY(check_refused(o));
    TRY(engine_open(&engine));
    TRY_AS(checkpoint_import(engine, &o->archive, &c), "--import");
    own_mem char *id = mem_strdup(c->row.id);
    struct doing d = { .engine = engine, .o = o, .stats = list };
    container_unlock(c);
    err *e = restore_one(id, &d);
    if (e) {
        err_ignore(container_remove(c, &(struct remove_options){ .force = true }),
                   "the first error says what went wrong");
        return e;
    }
    if (o->print_stats)
        print_stats(&d, "podman_restore_duration");
    return NULL;
}

static fallible container_restore_run(const void *opts, struct args args)
{
    const struct checkpoint_opts *o = opts;
    if (o->archive.file && (args.n || o->select.all || o->select.latest))
        return err_new(ERR_INVALID, "--import: the archive says which container: name none");
    const struct checkpoint_archive *a = &o->archive;
    if (!a->file && (a->name || a->no_rootfs || a->no_volumes || a->publish.n || a->no_static_ip || a->no_static_mac))
        return err_new(ERR_INVALID,
                       "--name, --publish and the --ignore- options are for --import: what is here goes on "
                       "as it is");
    if (o->archive.file)
        return restore_archive(o);
    return each(opts, "husk container restore", SELECT_NOT_RUNNING, args, restore_one, "podman_restore_duration");
}

#define CHECKPOINT_COMMAND(id, word, what, arguments, min, max, rows, runs, more)                                      \
    const struct command id = {                                                                                        \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .detail = more,                                                                                                \
        .opts = rows,                                                                                                  \
        .opts_size = sizeof(struct checkpoint_opts),                                                                   \
        .min_args = min,                                                                                               \
        .max_args = max,                                                                                               \
        .complete_args = COMPLETE_CONTAINER,                                                                           \
        .fail_exit = 125,                                                                                              \
        .run = runs,                                                                                                   \
    }
static CHECKPOINT_COMMAND(cmd_checkpoint_create, "create", "Write a running container's processes to files",
                          "CONTAINER CHECKPOINT", 2, 2, create_options, create_run,
                          "It ends, unless --leave-running is said; `husk start --checkpoint` lets it go on.");
static CHECKPOINT_COMMAND(cmd_checkpoint_ls, "ls", "List a container's checkpoints", "CONTAINER", 1, 1, ls_options,
                          ls_run, NULL);
static CHECKPOINT_COMMAND(cmd_checkpoint_rm, "rm", "Remove a checkpoint", "CONTAINER CHECKPOINT", 2, 2, rm_options,
                          rm_run, NULL);
CHECKPOINT_COMMAND(
    cmd_container_checkpoint, "checkpoint", "Write running containers' processes to files", "[CONTAINER...]", 0, -1,
    checkpoint_options, container_checkpoint_run,
    "They end, unless --leave-running is said; `husk container restore` lets them go on where they were. "
    "By CRIU,\nwhich needs root. Files stay in the container's writable layer; networks are connected anew.");
CHECKPOINT_COMMAND(cmd_container_restore, "restore", "Let checkpointed containers go on where they were",
                   "[CONTAINER...]", 0, -1, restore_options, container_restore_run, NULL);

static const struct command *const checkpoint_commands[] = { &cmd_checkpoint_create, &cmd_checkpoint_ls,
                                                             &cmd_checkpoint_rm, NULL };
const struct command cmd_checkpoint = {
    .name = "checkpoint",
    .args = "COMMAND",
    .summary = "Manage checkpoints: containers' processes as files",
    .sub = checkpoint_commands,
};
