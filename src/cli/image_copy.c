/*
 * husk copy: an image from any place to any other. husk image serve: the other end of ssh://.
 * Compatible with: skopeo copy.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "cli/image_copy.h"
#include "cli/image_pack.h"
#include "cli/image_places.h"
#include "cli/image_sign.h"
#include "cli/outfile.h"
#include "transport/trust.h"

struct copy_opts {
    bool all, quiet, referrers;
    const char *platform, *digestfile, *policy;
    const char *src_creds, *dest_creds, *src_tls, *dest_tls;
    struct remote_opts remote;
    struct sign_by sign;
};

#define T struct copy_opts
static const struct opt copy_rows[] = {
    OPT_FLAG('a', "all", T, all, "All platforms of an image that has several"),
    OPT_STR(0, "dest-creds", T, dest_creds, "USER:PASSWORD", "Log in to the destination's registry with these"),
    OPT_STR(0, "dest-tls-verify", T, dest_tls, "true|false", "As --tls-verify, for the destination",
            .words = remote_true_false),
    OPT_STR(0, "digestfile", T, digestfile, "FILE", "Write the digest of what was copied to this file"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "Copy this platform's image (default: this machine's)"),
    OPT_FLAG('q', "quiet", T, quiet, "Show no progress"),
    OPT_FLAG(0, "referrers", T, referrers, "Signatures, attestations and what else refers to it, too"),
    OPT_STR(0, "src-creds", T, src_creds, "USER:PASSWORD", "Log in to the source's registry with these"),
    OPT_STR(0, "src-tls-verify", T, src_tls, "true|false", "As --tls-verify, for the source",
            .words = remote_true_false),
    SIGN_BY_OPTIONS(T),
    POLICY_OPTION(T),
    REMOTE_OPTIONS(T),
    OPT_END,
};
#undef T

static struct remote_opts remote_of(const struct copy_opts *o, enum place_use use)
{
    struct remote_opts r = o->remote;
    const char *creds = use == PLACE_SOURCE ? o->src_creds : o->dest_creds;
    const char *tls = use == PLACE_SOURCE ? o->src_tls : o->dest_tls;
    if (creds) {
        r.creds = creds;
        r.creds_file = NULL;
    }
    r.tls_verify = tls ? tls : r.tls_verify;
    return r;
}

static fallible open_store(const struct place *from, const struct place *to, struct image_session **ret)
{
    if (to->kind == PLACE_STORE)
        return image_session_open(ret);
    return from->kind == PLACE_STORE ? image_session_open_reading(ret) : NULL;
}

static fallible confine(const struct place *from, const struct place *to, const struct image_session *s)
{
    struct landlock_path more[2];
    size_t n = 0;
    n += place_landlock(from, PLACE_SOURCE, &more[n]);
    n += place_landlock(to, PLACE_SINK, &more[n]);
    return image_confine_paths(s ? s->store : NULL, more, n);
}

/* An image of the store for a docker-archive, its layers as tars where zstd packs some: see pack_has_zstd(). *ret stays
 * NULL when it can go as it is. */
static fallible plain_source(const struct copy_opts *o, const struct place *from, const struct place *to,
                             struct layout *store, struct policy *policy, struct source **ret)
{
    own(image) struct image *image = NULL;
    own(source) struct source *packed = NULL;
    if (from->kind != PLACE_STORE || to->kind != PLACE_DOCKER_ARCHIVE || o->all)
        return NULL;
    err_ignore(image_find_here(store, from->name, o->platform, &image), "what is wrong is said by the copy");
    if (!image || !pack_has_zstd(image))
        return NULL;
    if (policy) /* signatures are of the manifest that is here, not of the one that is written */
        TRY(trust_check_stored(store, policy, image));
    TRY(source_image(store, image, &packed));
    return source_repacked(take(packed), store, &(struct repack){ .layers = REPACK_PLAIN }, ret);
}

static fallible run(const struct copy_opts *o, struct place *from, struct place *to, struct image_session *s,
                    struct policy *policy, char **ret_digest)
{
    own(progress_view) struct progress_view *view = progress_view_new(o->quiet || !isatty(STDERR_FILENO));
    own(source) struct source *source = NULL;
    own(sink) struct sink *sink = NULL;
    struct trust trust = { policy, to->kind == PLACE_STORE ? s->store : NULL };
    struct copy_options options = {
        .platform = o->platform,
        .all = o->all,
        .referrers = o->referrers,
        .progress = progress_of_view(view),
        .admit = trust_admit,
        .ctx = &trust,
    };
    TRY(plain_source(o, from, to, s ? s->store : NULL, policy, &source));
    if (source)
        options.admit = NULL;
    else
        TRY(place_source(from, s ? s->store : NULL, &source));
    TRY(place_sink(to, s ? s->store : NULL, &options.progress, &sink));
    TRY(copy_image(source, sink, &options, ret_digest));
    TRY(sink->ops->finish(sink));
    return place_finish(to);
}

/* What goes past the store is no event of it. */
static void say(const struct image_session *s, const struct place *from, const struct place *to, const char *platform,
                const char *digest)
{
    own(image) struct image *image = NULL;
    if (to->kind == PLACE_STORE && from->kind == PLACE_REGISTRY) {
        image_say_sent(s, "pull", from->ref, digest);
    } else if (from->kind == PLACE_STORE && to->kind == PLACE_REGISTRY) {
        image_say_sent(s, "push", to->ref, digest);
    } else if (to->kind == PLACE_STORE || from->kind == PLACE_STORE) {
        const struct place *here = to->kind == PLACE_STORE ? to : from;
        err_ignore(image_find_here(s->store, here->name ? here->name : digest, platform, &image),
                   "a list, an artifact");
        const char *id = image ? image->id : digest;
        image_say(s, here == to ? "load" : "save", id, here->name ? here->name : id);
    }
}

static fallible copy_run(const void *opts_, struct args args)
{
    const struct copy_opts *o = opts_;
    own(place) struct place *from = NULL;
    own(place) struct place *to = NULL;
    own(image_session) struct image_session *s = NULL;
    own(policy) struct policy *policy = NULL;
    own(outfile) struct outfile *digestfile = NULL;
    own(sigstore_key) struct sigstore_key *key = NULL;
    own_mem char *digest = NULL;
    struct remote_opts from_remote = remote_of(o, PLACE_SOURCE), to_remote = remote_of(o, PLACE_SINK);
    if (o->all && o->platform)
        return err_new(ERR_INVALID, "--all and --platform exclude each other");
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error like any other */
    TRY(place_parse(args.v[0], PLACE_SOURCE, &from));
    TRY(place_parse(args.v[1], PLACE_SINK, &to));
    TRY(sign_by_key(&o->sign, &key));
    if (key && to->kind != PLACE_REGISTRY)
        return err_new(ERR_UNSUPPORTED, "--sign-by-sigstore-private-key is for copies to a registry: elsewhere "
                                        "'husk image sign' signs");
    if (o->digestfile)
        TRY_AS(outfile_open(o->digestfile, 0644, &digestfile), "--digestfile");
    TRY(place_open(from, PLACE_SOURCE, &from_remote));
    TRY(place_open(to, PLACE_SINK, &to_remote));
    TRY(policy_load(o->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(open_store(from, to, &s));
    TRY(confine(from, to, s));
    err *e = run(o, from, to, s, policy, &digest);
    e = e ? err_wrap(e, "copy '%s' to '%s'", args.v[0], args.v[1]) : NULL;
    bool far = from->kind == PLACE_REGISTRY || from->kind == PLACE_SSH;
    TRY(s && s->adding ? image_session_failed(s, far ? ATTEMPT_RESUMED : ATTEMPT_WHOLE, e) : e);
    say(s, from, to, o->platform, digest);
    if (key)
        TRY(sign_pushed(key, to->ref, &to->remote->options, digest));
    TRY_AS(outfile_finish_text(digestfile, digest), "--digestfile");
    return NULL;
}

const struct command cmd_copy = {
    .name = "copy",
    .args = "SOURCE DESTINATION",
    .summary = "Copy an image from any place to any other",
    .detail = PLACES_DETAIL
    "\n"
    "An image keeps its digest: nothing is packed or written anew, but for layers of zstd that go from the store into\n"
    "a docker-archive: they are written plain, for dockers that know no zstd. Blobs that the destination has are not\n"
    "sent, and nothing is put on this machine's disk on the way. What is no container image (artifacts, charts,\n"
    "signatures) is copied like any other. HUSK_SSH names another program than ssh, with its first arguments.\n"
    "\n" REMOTE_DETAIL,
    .opts = copy_rows,
    .opts_size = sizeof(struct copy_opts),
    .min_args = 2,
    .max_args = 2,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = copy_run,
};

/* ---- the other end ---- */

struct serve_opts {
    const char *policy;
};
#define T struct serve_opts
static const struct opt serve_rows[] = {
    POLICY_OPTION(T),
    OPT_END,
};
#undef T

static fallible serve_run(const void *opts_, struct args args)
{
    const struct serve_opts *o = opts_;
    own(policy) struct policy *policy = NULL;
    own(image_session) struct image_session *s = NULL;
    struct wire w = { .in_fd = STDIN_FILENO, .out_fd = STDOUT_FILENO };
    (void)signal(SIGPIPE, SIG_IGN);
    if (isatty(STDIN_FILENO))
        return err_new(ERR_INVALID, "it speaks with `husk copy` on another host, not with people");
    TRY(policy_load(o->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    struct wire_server server = { .store = s->store, .policy = policy };
    err *e = wire_serve(&w, &server);
    wire_free_buffer(&w);
    return image_session_failed(s, ATTEMPT_RESUMED, e);
}

const struct command cmd_image_serve = {
    .name = "serve",
    .summary = "Give and take images over standard input and output",
    .detail =
        "What `husk copy` runs on the other host of ssh://HOST. An account that is only for images can have it as\n"
        "its one command: command=\"husk image serve\",restrict in ~/.ssh/authorized_keys. The signature policy of "
        "this\n"
        "host is asked, as transport \"ssh\", about what comes; signatures come with `husk copy --referrers`.",
    .opts = serve_rows,
    .opts_size = sizeof(struct serve_opts),
    .fail_exit = 1,
    .run = serve_run,
};
