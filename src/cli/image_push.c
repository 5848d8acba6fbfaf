/*
 * husk push: an image to a registry.
 * Compatible with: docker push, podman push.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cli/image_common.h"
#include "cli/image_pack.h"
#include "cli/image_remote.h"
#include "cli/image_sign.h"
#include "layers/push.h"
#include "os/fs.h"
#include "transport/repack.h"

struct push_opts {
    bool quiet, all_tags, remove_signatures;
    const char *platform, *digestfile, *format;
    struct pack_opts pack;
    struct remote_opts remote;
    struct sign_by sign;
};

static const char *const forms[] = { "oci", "v2s2", "docker", NULL };

#define T struct push_opts
static const struct opt push_rows[] = {
    OPT_FLAG('a', "all-tags", T, all_tags, "All tags of the repository that are here"),
    PACK_OPTIONS(T),
    OPT_STR(0, "digestfile", T, digestfile, "FILE", "Write the digest of what was pushed to this file"),
    OPT_STR('f', "format", T, format, "FORM", "The manifest's form: oci or v2s2 (default: as it is)", .words = forms),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "Push this platform's manifest alone"),
    OPT_FLAG('q', "quiet", T, quiet, "Print only the image's name"),
    OPT_FLAG(0, "remove-signatures", T, remove_signatures, "As with podman: a push takes no signatures along"),
    SIGN_BY_OPTIONS(T),
    REMOTE_OPTIONS(T),
    TRUST_OPTION(T),
    OPT_END,
};
#undef T

/* ---- packed otherwise ---- */

static bool is_changed(const struct push_opts *o)
{
    return pack_wanted(&o->pack) || o->format;
}

static fallible how_to_pack(const struct push_opts *o, struct repack *ret)
{
    TRY(pack_read(&o->pack, ret));
    if (o->format)
        ret->form = str_eq(o->format, "oci") ? REPACK_OCI : REPACK_DOCKER;
    return NULL;
}

/* What is a download to a copy is a push here. */
static void begin_pushing(void *ctx, size_t n, const char *const *ids)
{
    const struct progress *p = ctx;
    if (p->begin)
        p->begin(p->ctx, n, ids);
}

static void tell_pushing(void *ctx, size_t i, enum progress_state state, int64_t now, int64_t total)
{
    const struct progress *p = ctx;
    if (p->layer)
        p->layer(p->ctx, i, state == PROGRESS_DONE ? PROGRESS_PUSHED : PROGRESS_PUSHING, now, total);
}

/* One platform's: an index would be of other images than those that it names. */
static fallible push_changed(struct layout *l, const struct push_opts *opts, const struct push_options *options,
                             const char *what, const struct ref *to, struct push_result **ret)
{
    own(image) struct image *image = NULL;
    own(source) struct source *plain = NULL;
    own(source) struct source *from = NULL;
    own(sink) struct sink *sink = NULL;
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own(push_result) struct push_result *r = mem_zalloc(sizeof *r);
    struct progress shown = options->progress;
    struct copy_options copying = { .progress = { .begin = begin_pushing, .layer = tell_pushing, .ctx = &shown } };
    struct repack how;
    TRY(how_to_pack(opts, &how));
    TRY(image_find(l, what, opts->platform, &image));
    TRY(source_image(l, image, &plain));
    TRY(source_repacked(take(plain), l, &how, &from));
    TRY(from->ops->get(from, NULL, &doc));
    TRY(sink_registry(to, &options->registry, &sink));
    TRY(copy_image(from, sink, &copying, &r->digest));
    r->size = (int64_t)doc->len;
    *ret = take(r);
    return NULL;
}

struct pushing {
    const struct push_opts *opts;
    struct push_options options;
    const struct sigstore_key *key; /* or NULL */
    int digest_fd;
};

static fallible push_one(struct image_session *s, const struct pushing *p, const char *what, const struct ref *to)
{
    const struct push_opts *opts = p->opts;
    own(push_result) struct push_result *r = NULL;
    own_mem char *name = ref_full(to);
    if (is_changed(opts))
        TRY_AS(push_changed(s->store, opts, &p->options, what, to, &r), "image '%.300s'", what);
    else
        TRY(push_image(s->store, what, to, &p->options, &r));
    image_say_sent(s, "push", to, r->digest);
    if (p->key)
        TRY(sign_pushed(p->key, to, &p->options.registry, r->digest));
    if (opts->quiet)
        printf("%s\n", name);
    else
        printf("%s: digest: %s size: %lld\n", to->tag ? to->tag : to->digest, r->digest, (long long)r->size);
    fflush(stdout);
    return p->digest_fd >= 0 ? fs_write_fd(p->digest_fd, r->digest, strlen(r->digest), opts->digestfile) : NULL;
}

static fallible push_tags(struct image_session *s, const struct pushing *p, const struct ref *from,
                          const struct ref *to)
{
    own(oci_index) struct oci_index *index = NULL;
    size_t pushed = 0;
    TRY(layout_read_index(s->store, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        const char *name = strmap_get(&index->manifests[i].annotations, "org.opencontainers.image.ref.name");
        own(ref) struct ref *ref = NULL;
        own(err) err *e = name ? ref_parse(name, &ref) : NULL;
        if (!name || e || !ref->tag || ref->digest || strcmp(ref->registry, from->registry) != 0 ||
            strcmp(ref->repository, from->repository) != 0)
            continue;
        struct ref target = { .registry = to->registry, .repository = to->repository, .tag = ref->tag };
        TRY(push_one(s, p, name, &target));
        pushed++;
    }
    if (!pushed)
        return err_new(ERR_NOT_FOUND, "no image of repository '%s/%s' is here", from->registry, from->repository);
    return NULL;
}

static fallible check_all_tags(const struct push_opts *opts, struct args args)
{
    for (int i = 0; opts->all_tags && i < args.n; i++) {
        const char *slash = strrchr(args.v[i], '/');
        if (strpbrk(slash ? slash : args.v[i], ":@"))
            return err_new(ERR_INVALID, "--all-tags takes a name without a tag or a digest");
    }
    return NULL;
}

/* podman's destinations may say how they are reached. */
static const char *without_transport(const char *destination)
{
    return str_starts(destination, "docker://") ? destination + strlen("docker://") : destination;
}

static fallible push_run(const void *opts_, struct args args)
{
    const struct push_opts *opts = opts_;
    own(ref) struct ref *from = NULL;
    own(ref) struct ref *to = NULL;
    own(image_session) struct image_session *s = NULL;
    own(progress_view) struct progress_view *view = progress_view_new(opts->quiet);
    own(remote) struct remote *remote = NULL;
    own(sigstore_key) struct sigstore_key *key = NULL;
    own_fd int digest_fd = -1;

    TRY(check_all_tags(opts, args));
    err *no_name = ref_parse(args.v[0], &from);
    if (no_name && (args.n < 2 || opts->all_tags)) /* an ID says what, but not where */
        return no_name;
    err_ignore(no_name, "an ID");
    TRY(ref_parse(args.n > 1 ? without_transport(args.v[1]) : args.v[0], &to));
    TRY(remote_prepare(&opts->remote, to, REGISTRY_PUSH, &remote));
    TRY(sign_by_key(&opts->sign, &key));
    TRY(digestfile_open(opts->digestfile, &digest_fd));
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    struct pushing pushing = {
        .opts = opts,
        .options = { .platform = opts->platform, .registry = remote->options, .progress = progress_of_view(view) },
        .key = key,
        .digest_fd = digest_fd,
    };
    return opts->all_tags ? push_tags(s, &pushing, from, to) : push_one(s, &pushing, args.v[0], to);
}

const struct command cmd_push = {
    .name = "push",
    .args = "IMAGE [DESTINATION]",
    .summary = "Send an image to a registry",
    .detail =
        "IMAGE is a name or an ID; DESTINATION is [REGISTRY/]NAME[:TAG], by default IMAGE itself. Layers go as they "
        "came,\n"
        "byte for byte, so that the image keeps its digest; those that the registry has are not sent, those that\n"
        "another of its repositories has are mounted from there. An index goes whole when all of its platforms are "
        "here,\n"
        "else this machine's platform goes alone.\n"
        "\n"
        "Layers that `husk build` made are packed with zstd, which docker before version 23 (Debian 12's, too) cannot\n"
        "pull: --compression-format gzip is for these.\n"
        "\n"
        "With --compression-format or --format the manifest is written anew, for one platform; the image's ID stays. "
        "Of\n"
        "gzip husk has three levels: 1 to 3, 4 to 6 (its default) and 7 to 9 are one each.\n"
        "\n" REMOTE_DETAIL,
    .opts = push_rows,
    .opts_size = sizeof(struct push_opts),
    .min_args = 1,
    .max_args = 2,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = push_run,
};
