/*
 * husk pull: an image from a registry.
 * Compatible with: docker pull, podman pull.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/log.h"
#include "cli/image_common.h"
#include "cli/image_remote.h"
#include "layers/pull.h"
#include "transport/trust.h"

struct pull_opts {
    bool quiet, all_tags;
    const char *platform, *policy;
    struct remote_opts remote;
};

#define T struct pull_opts
static const struct opt pull_rows[] = {
    OPT_FLAG('a', "all-tags", T, all_tags, "All tags of the repository"),
    OPT_FLAG('q', "quiet", T, quiet, "Print only the image's name"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "Take this platform's image (default: this machine's)"),
    POLICY_OPTION(T),
    REMOTE_OPTIONS(T),
    TRUST_OPTION(T),
    OPT_END,
};
#undef T

static void print_result(const struct pull_opts *opts, const struct pull_result *r)
{
    if (!opts->quiet)
        printf("Digest: %s\nStatus: %s for %s\n", r->digest,
               r->changed ? "Downloaded newer image" : "Image is up to date", r->name);
    printf("%s\n", r->name);
    fflush(stdout);
}

static fallible pull_one(struct image_session *s, const struct pull_opts *opts, const struct pull_options *given,
                         const struct ref *ref, struct policy *policy)
{
    own(pull_result) struct pull_result *result = NULL;
    struct trust_pull admitting = { { policy, s->store }, ref, &given->registry };
    struct pull_options options = *given;
    options.admit = policy ? trust_admit_pull : NULL;
    options.admit_ctx = &admitting;
    TRY(pull_image(s->store, ref, &options, &result));
    print_result(opts, result);
    return NULL;
}

static fallible pull_tags(struct image_session *s, const struct pull_opts *opts, const struct pull_options *options,
                          const struct ref *ref, struct policy *policy)
{
    own(registry) struct registry *registry = NULL;
    own_strv struct strv tags = { 0 };
    TRY(registry_open(ref, &options->registry, &registry));
    TRY_AS(registry_list_tags(registry, &tags), "tags of '%s/%s'", ref->registry, ref->repository);
    if (!tags.n)
        return err_new(ERR_NOT_FOUND, "repository '%s/%s' has no tags", ref->registry, ref->repository);
    for (size_t i = 0; i < tags.n; i++) {
        own_mem char *name = mem_printf("%s/%s:%s", ref->registry, ref->repository, tags.items[i]);
        own(ref) struct ref *one = NULL;
        TRY_AS(ref_parse(name, &one), "a tag that the registry names");
        TRY(pull_one(s, opts, options, one, policy));
    }
    return NULL;
}

static fallible check_all_tags(const struct pull_opts *opts, const char *name)
{
    const char *slash = strrchr(name, '/');
    if (opts->all_tags && strpbrk(slash ? slash : name, ":@"))
        return err_new(ERR_INVALID, "--all-tags takes a name without a tag or a digest");
    return NULL;
}

struct candidate {
    struct ref *ref;
    struct remote *remote;
};

static void candidates_free(struct candidate *c)
{
    for (size_t i = 0; c[i].ref; i++) {
        ref_free(c[i].ref);
        remote_free(c[i].remote);
    }
    free(c);
}
OWN_TYPE(candidates, struct candidate *, candidates_free)

/* Whatever runs a program or reads the user's own files comes before the confinement, what a stranger sent after. */
static fallible find_candidates(const struct pull_opts *opts, const char *text, struct candidate **ret)
{
    own_strv struct strv names = { 0 };
    TRY(remote_resolve(text, &names));
    own(candidates) struct candidate *c = mem_zalloc((names.n + 1) * sizeof *c);
    for (size_t i = 0; i < names.n; i++) {
        TRY(ref_parse(names.items[i], &c[i].ref));
        TRY(remote_prepare(&opts->remote, c[i].ref, REGISTRY_PULL, &c[i].remote));
    }
    *ret = take(c);
    return NULL;
}

static fallible pull_candidate(struct image_session *s, const struct pull_opts *opts, const struct candidate *c,
                               struct progress progress, struct policy *policy)
{
    struct pull_options options = {
        .platform = opts->platform,
        .registry = c->remote->options,
        .progress = progress,
        .drop_packed = !s->settings.keep_blobs,
    };
    return opts->all_tags ? pull_tags(s, opts, &options, c->ref, policy) : pull_one(s, opts, &options, c->ref, policy);
}

static fallible pull_run(const void *opts_, struct args args)
{
    const struct pull_opts *opts = opts_;
    own(candidates) struct candidate *c = NULL;
    own(policy) struct policy *policy = NULL;
    own(image_session) struct image_session *s = NULL;
    own(progress_view) struct progress_view *view = progress_view_new(opts->quiet);

    TRY(check_all_tags(opts, args.v[0]));
    TRY(find_candidates(opts, args.v[0], &c));
    TRY(policy_load(opts->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    for (size_t i = 0;; i++) {
        err *e = pull_candidate(s, opts, &c[i], progress_of_view(view), policy);
        if (!e || !c[i + 1].ref)
            return e;
        log_warn("%s", err_text(e));
        err_ignore(e, "the next registry may have it");
    }
}

const struct command cmd_pull = {
    .name = "pull",
    .args = "IMAGE",
    .summary = "Fetch an image from a registry",
    .detail = "IMAGE is [REGISTRY/]NAME[:TAG][@DIGEST] by Docker Hub's rules: 'busybox' is "
              "docker.io/library/busybox:latest.\n"
              "\n" REMOTE_DETAIL " A download that was cut off goes on where it was.",
    .opts = pull_rows,
    .opts_size = sizeof(struct pull_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = pull_run,
};
