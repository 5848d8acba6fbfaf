/*
 * husk save: images of the store into an archive, a folder or a pipe.
 * Compatible with: docker save, podman save.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/image_common.h"
#include "cli/image_pack.h"
#include "cli/image_places.h"
#include "cli/outfile.h"
#include "layers/restore.h"

struct save_opts {
    const char *output, *format, *platform;
    bool quiet, compress, uncompressed, multi;
    struct pack_opts pack;
};

static const char *const formats[] = { "docker-archive", "oci-archive", "oci-dir", "docker-dir", NULL };

#define T struct save_opts
static const struct opt save_rows[] = {
    OPT_STR('o', "output", T, output, "FILE|DIR", "Write here instead of to standard output"),
    OPT_STR(0, "format", T, format, "FORMAT", "docker-archive (default), oci-archive, oci-dir or docker-dir",
            .words = formats),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "This platform's image (default: this machine's)"),
    OPT_FLAG(0, "compress", T, compress, "Pack layers that are not packed with gzip", .exclusive = "packing"),
    OPT_FLAG(0, "uncompressed", T, uncompressed, "Write every layer as a plain tar", .exclusive = "packing"),
    PACK_OPTIONS(T),
    OPT_FLAG('m', "multi-image-archive", T, multi, "As with podman: husk always takes several images"),
    OPT_FLAG('q', "quiet", T, quiet, "Show no progress"),
    OPT_END,
};
#undef T

static bool is_dir_format(const struct save_opts *o)
{
    return o->format && str_ends(o->format, "-dir");
}

static fallible open_sink(const struct save_opts *o, struct outfile **ret_file, struct sink **ret)
{
    own(outfile) struct outfile *file = NULL;
    own_fd int fd = -1;
    if (is_dir_format(o)) {
        bool oci = str_eq(o->format, "oci-dir");
        TRY(place_make_dir(o->output, oci ? "index.json" : "version", &fd));
        return oci ? sink_oci(take_fd(&fd), NULL, ret) : sink_dir(take_fd(&fd), ret);
    }
    if (o->output)
        TRY(outfile_open(o->output, 0644, &file));
    fd = file ? outfile_fd(file) : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return err_sys(errno, "open standard output");
    TRY(sink_archive(take_fd(&fd), str_eq(o->format, "oci-archive") ? ARCHIVE_OCI : ARCHIVE_DOCKER, ret));
    *ret_file = take(file);
    return NULL;
}

static bool is_changed(const struct save_opts *o)
{
    return pack_wanted(&o->pack) || o->compress || o->uncompressed || str_eq(o->format, "docker-dir");
}

static fallible how_to_pack(const struct save_opts *o, struct repack *ret)
{
    TRY(pack_read(&o->pack, ret));
    if (o->compress || o->uncompressed)
        ret->layers = o->compress ? REPACK_GZIP : REPACK_PLAIN;
    if (str_eq(o->format, "docker-dir"))
        ret->form = REPACK_DOCKER;
    return NULL;
}

static bool must_be_plain(const struct save_opts *o, const struct image *image)
{
    return (!o->format || str_eq(o->format, "docker-archive")) && !is_changed(o) && pack_has_zstd(image);
}

/* Packing is not repeated byte for byte: that makes another manifest, which must be asked for. */
static fallible or_otherwise_packed(err *take_e, struct layout *l, const struct image *image)
{
    own(err) err *e = take_e;
    const struct strv *ids = &image->config->rootfs->diff_ids;
    bool possible = err_is(e, ERR_NOT_FOUND);
    for (size_t i = 0; possible && i < ids->n; i++)
        possible = layout_has_blob(l, image->manifest->layers[i].digest, -1) || restore_possible(l, ids->items[i]);
    if (!possible)
        return take(e);
    return err_new(ERR_NOT_FOUND, "%s; or save it with --uncompressed, under another manifest digest", err_text(e));
}

static fallible save_one(struct layout *l, const struct save_opts *o, const struct image *image, struct sink *to,
                         const struct copy_options *copying)
{
    own(source) struct source *plain = NULL;
    own(source) struct source *repacked = NULL;
    struct repack how;
    bool unpacked = must_be_plain(o, image);
    TRY(how_to_pack(o, &how));
    if (unpacked)
        how.layers = REPACK_PLAIN;
    TRY(source_image(l, image, &plain));
    if (is_changed(o) || unpacked)
        TRY(source_repacked(take(plain), l, &how, &repacked));
    err *e = copy_image(repacked ? repacked : plain, to, copying, NULL);
    return e && !repacked ? or_otherwise_packed(e, l, image) : e;
}

/* All are looked for first: an archive without one of them is none. */
static fallible find_all(struct layout *l, const struct save_opts *o, struct args args, struct image **images)
{
    for (int i = 0; i < args.n; i++)
        TRY(image_find_here(l, args.v[i], o->platform, &images[i]));
    return NULL;
}

static fallible save_all(struct layout *l, const struct save_opts *o, struct args args, struct image *const *images)
{
    own(outfile) struct outfile *file = NULL;
    own(sink) struct sink *to = NULL;
    own(progress_view) struct progress_view *view = progress_view_new(o->quiet || !isatty(STDERR_FILENO));
    struct copy_options copying = { .progress = progress_of_view(view) };
    TRY(open_sink(o, &file, &to));
    err *e = NULL;
    for (int i = 0; i < args.n && !e; i++) {
        e = save_one(l, o, images[i], to, &copying);
        e = e ? err_wrap(e, "image '%s'", args.v[i]) : NULL;
    }
    if (!e)
        e = to->ops->finish(to);
    if (err_errno(e) == ENOSPC || err_errno(e) == EDQUOT) /* it may not be the disk that the store is on */
        return err_wrap(e, "no room for '%s'", o->output ? o->output : "standard output");
    TRY(e);
    return file ? outfile_finish(file) : NULL;
}

static fallible check(const struct save_opts *o, struct args args)
{
    struct repack how;
    TRY(how_to_pack(o, &how));
    if (how.layers == REPACK_ZSTD && how.form == REPACK_DOCKER)
        return err_new(ERR_INVALID, "--format docker-dir knows no zstd: choose --compression-format gzip, or oci-dir");
    if (is_dir_format(o) && !o->output)
        return err_new(ERR_INVALID, "--format %s needs a directory: name it with --output", o->format);
    if (str_eq(o->format, "docker-dir") && args.n > 1)
        return err_new(ERR_INVALID, "--format docker-dir has room for one image");
    if (!o->output && isatty(STDOUT_FILENO))
        return err_new(ERR_INVALID, "standard output is a terminal: name a FILE with --output, or send it into a pipe");
    return NULL;
}

static fallible save_run(const void *opts_, struct args args)
{
    const struct save_opts *o = opts_;
    own(image_session) struct image_session *s = NULL;
    TRY(check(o, args));
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error like any other */
    TRY(image_session_open_reading(&s));
    struct image **images = mem_zalloc((size_t)args.n * sizeof *images);
    err *e = find_all(s->store, o, args, images);
    if (!e)
        e = save_all(s->store, o, args, images);
    for (int i = 0; i < args.n && !e; i++)
        image_say(s, "save", images[i]->id, args.v[i]);
    for (int i = 0; i < args.n; i++)
        image_free(images[i]);
    free(images);
    return e;
}

const struct command cmd_save = {
    .name = "save",
    .args = "IMAGE...",
    .summary = "Write images to an archive, a directory or a pipe",
    .detail =
        "The default is a docker-archive that is an OCI image layout as well: docker, podman and skopeo read it, and\n"
        "husk gets the very same manifests back. Layers are written as the store has them, packed or not; --compress,\n"
        "--uncompressed and --compression-format change that, and the manifest's digest with it; the image's ID "
        "stays.\n"
        "\n"
        "A FILE appears when it is whole. `husk copy` writes signatures and several platforms, too.",
    .opts = save_rows,
    .opts_size = sizeof(struct save_opts),
    .min_args = 1,
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = save_run,
};
