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
    const char *platform, *policy, *os, *architecture, *variant, *when;
    struct strv decryption_keys;
    struct remote_opts remote;
};

static const char *const when_words[] = { "always", "missing", "never", "newer", NULL };

#define T struct pull_opts
static const struct opt pull_rows[] = {
    OPT_FLAG('a', "all-tags", T, all_tags, "All tags of the repository"),
    OPT_STRS(0, "decryption-key", T, decryption_keys, "KEY", "As with podman: refused, husk decrypts no layers"),
    OPT_FLAG('q', "quiet", T, quiet, "Print only the image's name"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "Take this platform's image (default: this machine's)"),
    OPT_STR(0, "arch", T, architecture, "ARCH", "The image's machine, as in --platform"),
    OPT_STR(0, "os", T, os, "OS", "The image's system, as in --platform"),
    OPT_STR(0, "variant", T, variant, "VARIANT", "The image's variant, as in --platform"),
    OPT_STR(
        0, "policy", T, when, "WORD",
        "always (default), missing: only what is not here, never, newer: as always, but what is here does without a "
        "registry",
        .words = when_words),
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
    image_say_sent(s, "pull", ref, result->digest);
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

static fallible pull_candidate(struct image_session *s, const struct pull_opts *opts, const char *platform,
                               const struct candidate *c, struct progress progress, struct policy *policy)
{
    struct pull_options options = {
        .platform = platform,
        .registry = c->remote->options,
        .progress = progress,
        .drop_packed = !s->settings.keep_blobs,
    };
    return opts->all_tags ? pull_tags(s, opts, &options, c->ref, policy) : pull_one(s, opts, &options, c->ref, policy);
}

/* ---- what is here already ---- */

static fallible platform_wanted(const struct pull_opts *opts, char **ret)
{
    if (opts->platform && (opts->os || opts->architecture || opts->variant))
        return err_new(ERR_INVALID, "--platform and --os, --arch, --variant exclude each other");
    if (opts->platform)
        *ret = mem_strdup(opts->platform);
    return platform_of_words(opts->os, opts->architecture, opts->variant, ret);
}

static fallible say_found(struct layout *l, const char *name, const char *platform)
{
    own(image) struct image *image = NULL;
    TRY(image_find(l, name, platform, &image));
    printf("%s\n", image->name ? image->name : image->id);
    return NULL;
}

/* Its name is printed, or NOT_FOUND. */
static fallible say_if_here(const char *name, const char *platform)
{
    own(image_session) struct image_session *s = NULL;
    TRY(image_session_open_reading(&s));
    return say_found(s->store, name, platform);
}

/* *ret_done: nothing is to be pulled. */
static fallible look_before(const struct pull_opts *opts, const char *name, const char *platform, bool *ret_done)
{
    if (opts->all_tags && opts->when && strcmp(opts->when, "always") != 0)
        return err_new(ERR_INVALID,
                       "--all-tags and --policy %s exclude each other: which tags there are, the registry says",
                       opts->when);
    bool never = str_eq(opts->when, "never");
    if (!never && !str_eq(opts->when, "missing"))
        return NULL;
    err *e = say_if_here(name, platform);
    *ret_done = never || !err_is(e, ERR_NOT_FOUND);
    if (*ret_done)
        return e;
    err_free(e);
    return NULL;
}

/* A registry that cannot be asked is no error where there is one to go on with. */
static fallible or_what_is_here(err *take_e, const struct pull_opts *opts, struct layout *l, const char *name,
                                const char *platform)
{
    if (!take_e || !str_eq(opts->when, "newer"))
        return take_e;
    err *missing = say_found(l, name, platform);
    if (missing) {
        err_free(missing);
        return take_e;
    }
    log_warn("%s", err_text(take_e));
    err_free(take_e);
    return NULL;
}

/* One of the names that were given. */
struct wish {
    const char *name;
    bool done; /* here already, or not to be pulled */
    struct candidate *candidates;
};

static void wishes_free(struct wish *w)
{
    for (size_t i = 0; w[i].name; i++)
        if (w[i].candidates)
            candidates_free(w[i].candidates);
    free(w);
}
OWN_TYPE(wishes, struct wish *, wishes_free)

struct pulling {
    const struct pull_opts *opts;
    const char *platform;
    struct wish *next;
    struct image_session *session;
    struct policy *policy;
    struct progress progress;
};

static err *pull_wish(const char *name, void *ctx)
{
    struct pulling *p = ctx;
    const struct wish *w = p->next++;
    for (size_t i = 0; !w->done; i++) {
        if (!p->session->adding)
            return err_new(ERR_EXHAUSTED, "no room in the image store '%s'", p->session->store->path);
        err *e = pull_candidate(p->session, p->opts, p->platform, &w->candidates[i], p->progress, p->policy);
        e = image_session_failed(p->session, ATTEMPT_RESUMED, e);
        if (!e || !w->candidates[i + 1].ref)
            return or_what_is_here(e, p->opts, p->session->store, name, p->platform);
        log_warn("%s", err_text(e));
        err_ignore(e, "the next registry may have it");
    }
    return NULL;
}

/* *ret_any: something is to be pulled. */
static fallible prepare_wishes(const struct pull_opts *opts, const char *platform, struct args args,
                               struct wish *wishes, bool *ret_any)
{
    for (int i = 0; i < args.n; i++) {
        struct wish *w = &wishes[i];
        w->name = args.v[i];
        TRY(check_all_tags(opts, w->name));
        TRY(look_before(opts, w->name, platform, &w->done));
        if (w->done)
            continue;
        TRY(find_candidates(opts, w->name, &w->candidates));
        *ret_any = true;
    }
    return NULL;
}

static fallible pull_run(const void *opts_, struct args args)
{
    const struct pull_opts *opts = opts_;
    own(wishes) struct wish *wishes = mem_zalloc(((size_t)args.n + 1) * sizeof *wishes);
    own(policy) struct policy *policy = NULL;
    own(image_session) struct image_session *s = NULL;
    own(progress_view) struct progress_view *view = progress_view_new(opts->quiet);
    own_mem char *platform = NULL;
    bool any = false;

    if (opts->decryption_keys.n)
        return err_new(ERR_UNSUPPORTED, "--decryption-key: husk decrypts no layers: 'skopeo copy --decryption-key KEY "
                                        "docker://IMAGE oci:DIR' does, and 'husk load -i DIR' takes that");
    TRY(platform_wanted(opts, &platform));
    TRY(prepare_wishes(opts, platform, args, wishes, &any));
    if (!any)
        return NULL;
    TRY(policy_load(opts->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    struct pulling pulling = { opts, platform, wishes, s, policy, progress_of_view(view) };
    return command_each("husk pull", args, pull_wish, &pulling);
}

const struct command cmd_pull = {
    .name = "pull",
    .args = "IMAGE...",
    .summary = "Fetch images from a registry",
    .detail = "IMAGE is [REGISTRY/]NAME[:TAG][@DIGEST] by Docker Hub's rules: 'busybox' is "
              "docker.io/library/busybox:latest.\n"
              "\n" REMOTE_DETAIL " A download that was cut off goes on where it was.",
    .opts = pull_rows,
    .opts_size = sizeof(struct pull_opts),
    .min_args = 1,
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = pull_run,
};
