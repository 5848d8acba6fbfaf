/*
 * husk load: images from an archive, a directory or a pipe.
 * Compatible with: docker load, podman load.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/image_common.h"
#include "cli/image_embedded.h"
#include "cli/image_remote.h"
#include "layers/load.h"
#include "transport/trust.h"

struct load_opts {
    const char *input, *platform, *policy;
    bool quiet, embedded;
};

#define T struct load_opts
static const struct opt load_rows[] = {
    OPT_STR('i', "input", T, input, "FILE", "Read this archive or directory instead of standard input"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "Take this platform's image (default: this machine's)"),
    OPT_FLAG('q', "quiet", T, quiet, "Show no progress"),
    POLICY_OPTION(T),
    OPT_FLAG(0, "embedded", T, embedded, "Load localhost/hello, the image that is built into husk"),
    OPT_END,
};
#undef T

static fallible open_input(const char *path, int *ret_fd, bool *ret_is_dir)
{
    struct stat st;
    own_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(errno, "open '%s'", path ? path : "standard input");
    if (!path && isatty(fd))
        return err_new(ERR_INVALID,
                       "standard input is a terminal: name a FILE with --input, or send an archive by a pipe");
    *ret_is_dir = S_ISDIR(st.st_mode);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible choose_input(const struct load_opts *opts, struct args args, const char **ret)
{
    if (args.n && opts->input)
        return err_new(ERR_INVALID, "'%s': --input says already what to load", args.v[0]);
    *ret = args.n ? args.v[0] : opts->input;
    if (opts->embedded && *ret)
        return err_new(ERR_INVALID, "--embedded and '%s' exclude each other", *ret);
    return NULL;
}

static fallible load_from(struct image_session *s, int fd, bool is_dir, const struct load_options *options,
                          struct policy *policy, const char *path, struct load_result *result)
{
    own(bundle) struct bundle *b = NULL;
    TRY(is_dir ? bundle_open_dir(s->store, fd, &b) : bundle_open_archive(s->store, fd, &b));
    const char *transport = is_dir ? "oci" : bundle_has(b, "manifest.json") ? "docker-archive" : "oci-archive";
    TRY(trust_admit_archive(policy, transport, path));
    return load_images(s->store, b, options, result);
}

/* skopeo's folder, as 'save --format docker-dir' writes it: of one image, which has no name in it. */
static bool is_skopeo_dir(int fd)
{
    return faccessat(fd, "version", F_OK, 0) == 0 && faccessat(fd, "index.json", F_OK, 0) < 0;
}

static fallible load_skopeo_dir(struct image_session *s, int dir_fd, const struct load_options *options,
                                struct policy *policy, const char *path)
{
    own(source) struct source *from = NULL;
    own(sink) struct sink *to = NULL;
    own(image) struct image *image = NULL;
    own_mem char *digest = NULL;
    own_fd int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
    struct trust trust = { policy, s->store };
    struct copy_options copying = {
        .platform = options->platform, .progress = options->progress, .admit = trust_admit, .ctx = &trust
    };
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    TRY(source_dir(take_fd(&fd), path, &from));
    TRY(sink_store(s->store, NULL, &copying.progress, &to));
    TRY(copy_image(from, to, &copying, &digest));
    TRY(to->ops->finish(to));
    TRY(image_find(s->store, digest, options->platform, &image));
    image_say(s, "load", image->id, image->id);
    printf("Loaded image ID: %s\n", image->id);
    return NULL;
}

static void say_result(const struct image_session *s, const struct load_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const char *name = r->images[i].name, *id = r->images[i].id;
        image_say(s, "load", id, name ? name : id);
        if (name)
            printf("Loaded image: %s\n", name);
        else
            printf("Loaded image ID: %s\n", id);
    }
}

static fallible load_input(const struct load_opts *opts, const char *path)
{
    own(image_session) struct image_session *s = NULL;
    own(progress_view) struct progress_view *view = progress_view_new(opts->quiet || !isatty(STDERR_FILENO));
    struct load_options options = { .progress = progress_of_view(view) };
    struct load_result result = { 0 };
    own(policy) struct policy *policy = NULL;
    own_mem char *platform = NULL;
    own_fd int fd = -1;
    bool is_dir = false;
    if (opts->platform)
        TRY_AS(platform_parse(opts->platform, &platform), "--platform");
    options.platform = platform;
    TRY(policy_load(opts->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(open_input(path, &fd, &is_dir)); /* as the user that we still are */
    TRY(image_session_open(&s));
    TRY(image_confine(s, is_dir ? fd : -1)); /* a file or pipe is open already */
    err *e = is_dir && is_skopeo_dir(fd) ? load_skopeo_dir(s, fd, &options, policy, path)
                                         : load_from(s, fd, is_dir, &options, policy, path, &result);
    progress_view_free(take(view));
    say_result(s, &result);
    load_result_clear(&result);
    return image_session_failed(s, ATTEMPT_WHOLE, e ? err_wrap(e, "'%s'", path ? path : "standard input") : NULL);
}

static fallible load_embedded(void)
{
    own(image_session) struct image_session *s = NULL;
    TRY(image_session_open(&s));
    TRY(image_session_failed(s, ATTEMPT_WHOLE, embedded_load(s->store)));
    image_say(s, "load", EMBEDDED_NAME, EMBEDDED_NAME);
    printf("Loaded image: %s\n", EMBEDDED_NAME);
    return NULL;
}

static fallible load_run(const void *opts_, struct args args)
{
    const struct load_opts *opts = opts_;
    const char *path = NULL;
    TRY(choose_input(opts, args, &path));
    return opts->embedded ? load_embedded() : load_input(opts, path);
}

const struct command cmd_load = {
    .name = "load",
    .args = "[FILE|DIR]",
    .summary = "Load images from an archive or a directory",
    .detail =
        "Reads what 'docker save', 'podman save' and 'skopeo copy' write: a docker-archive, an oci-archive (both "
        "plain\n"
        "or packed with gzip, zstd, xz or bzip2), or a directory that is an OCI image layout or skopeo's dir. Every "
        "digest is\n"
        "checked.\n"
        "Images without a name are found by their ID.\n"
        "\n"
        "HUSK_MAX_LAYER_BYTES (default 64g) and HUSK_MAX_LAYER_ENTRIES (default 4m) bound what a layer may unpack to.",
    .opts = load_rows,
    .opts_size = sizeof(struct load_opts),
    .max_args = 1,
    .complete_args = COMPLETE_FILE,
    .fail_exit = 1,
    .run = load_run,
};
