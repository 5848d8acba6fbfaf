/*
 * husk manifest push: a list with all its images, or alone, to a registry or any other place.
 * Compatible with: docker manifest push, podman manifest push.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <string.h>

#include "cli/image_manifest.h"
#include "cli/image_pack.h"
#include "cli/image_places.h"
#include "cli/image_sign.h"
#include "cli/outfile.h"
#include "transport/list.h"

struct push_opts {
    struct opt_bool all;
    bool purge, remove, insecure, quiet;
    const char *format, *digestfile;
    struct strv add;
    struct pack_opts pack;
    struct remote_opts remote;
    struct sign_by sign;
};

static const char *const formats[] = { "oci", "v2s2", NULL };

#define T struct push_opts
static const struct opt push_rows[] = {
    OPT_STRS(0, "add-compression", T, add, "WORD",
             "Each platform's image packed with gzip or zstd besides, if it is not"),
    OPT_SWITCH(0, "all", T, all, "The images too (the default); false: the list alone"),
    PACK_OPTIONS(T),
    OPT_STR(0, "digestfile", T, digestfile, "FILE", "Write the digest of what was pushed to this file"),
    OPT_STR('f', "format", T, format, "FORMAT", "oci (the default), or v2s2: Docker's manifest list", .words = formats),
    OPT_FLAG(0, "insecure", T, insecure, "The same as --tls-verify=false"),
    OPT_FLAG('p', "purge", T, purge, "Remove the list from the store when it is pushed"),
    OPT_FLAG('q', "quiet", T, quiet, "Show no progress"),
    OPT_FLAG(0, "rm", T, remove, "The same as --purge"),
    SIGN_BY_OPTIONS(T),
    REMOTE_OPTIONS(T),
    OPT_END,
};
#undef T

/* ---- where images are that are not here ---- */

struct origins {
    struct strv repositories;
    struct ref **refs;
    struct remote **remotes;
};
static void origins_free(struct origins *o)
{
    for (size_t i = 0; i < o->repositories.n; i++) {
        ref_free(o->refs[i]);
        remote_free(o->remotes[i]);
    }
    free(o->refs);
    free(o->remotes);
    strv_free(&o->repositories);
}
static inline void own_drop_origins(struct origins *o)
{
    origins_free(o);
}

/* All of them are prepared before the program confines itself: credentials are the user's own files. */
static fallible prepare_origins(const struct remote_opts *remote, const struct list *list, struct origins *o)
{
    o->refs = mem_zalloc((list->origins.n + 1) * sizeof(struct ref *));
    o->remotes = mem_zalloc((list->origins.n + 1) * sizeof(struct remote *));
    for (size_t i = 0; i < list->origins.n; i++) {
        const char *repository = list->origins.items[i].value;
        if (strv_has(&o->repositories, repository))
            continue;
        size_t n = o->repositories.n;
        strv_add(&o->repositories, repository);
        TRY(ref_parse(repository, &o->refs[n]));
        TRY(remote_prepare(remote, o->refs[n], REGISTRY_PULL, &o->remotes[n]));
    }
    return NULL;
}

static err *open_origin(void *ctx, const char *repository, struct source **ret)
{
    const struct origins *o = ctx;
    for (size_t i = 0; i < o->repositories.n; i++)
        if (str_eq(o->repositories.items[i], repository))
            return source_registry(o->refs[i], &o->remotes[i]->options, ret);
    return err_new(ERR_INTERNAL, "repository '%s' was not prepared", repository);
}

/* ---- the push ---- */

static fallible push_alone(const struct list *list, struct sink *sink, char **ret_digest)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own_mem char *text = bind_write(&oci_index_type, list->index, BIND_COMPACT);
    TRY(doc_make(text, strlen(text), list->index->media_type, NULL, &doc));
    TRY(sink->ops->put_doc(sink, doc, DOC_TOP, sink->name ? sink->name : list->name));
    *ret_digest = mem_strdup(doc->digest);
    return NULL;
}

enum { ADDED_MAX = 8 };
struct packing {
    struct repack how;
    enum repack_layers add[ADDED_MAX];
    size_t add_n;
};
static fallible how_to_pack(const struct push_opts *o, struct packing *ret)
{
    *ret = (struct packing){ .add_n = 0 };
    TRY(pack_read(&o->pack, &ret->how));
    if (o->add.n > ADDED_MAX)
        return err_new(ERR_INVALID, "--add-compression: at most %d times", ADDED_MAX);
    for (size_t i = 0; i < o->add.n; i++)
        TRY(pack_word("--add-compression", o->add.items[i], &ret->add[ret->add_n++]));
    bool zstd = ret->how.layers == REPACK_ZSTD;
    for (size_t i = 0; i < ret->add_n; i++)
        zstd |= ret->add[i] == REPACK_ZSTD;
    if (zstd && str_eq(o->format, "v2s2"))
        return err_new(ERR_INVALID, "--format v2s2: Docker's form knows no zstd: choose gzip, or the format oci");
    if ((o->add.n || pack_wanted(&o->pack)) && o->all.set && !o->all.v)
        return err_new(ERR_INVALID, "--all=false pushes no image that could be packed otherwise");
    return NULL;
}

static fallible push_to(const struct push_opts *o, struct layout *l, const struct list *list, struct origins *origins,
                        struct place *to, char **ret_digest)
{
    own(progress_view) struct progress_view *view = progress_view_new(o->quiet || !isatty(STDERR_FILENO));
    own(source) struct source *from = NULL;
    own(sink) struct sink *sink = NULL;
    struct packing packing;
    TRY(how_to_pack(o, &packing));
    struct copy_options options = { .all = true, .progress = progress_of_view(view) };
    TRY(source_list(l, list, open_origin, origins, &from));
    if (packing.how.layers != REPACK_AS_THEY_ARE || packing.add_n)
        TRY(source_list_repacked(take(from), l, &packing.how, packing.add, packing.add_n, &from));
    TRY(place_sink(to, l, &options.progress, &sink));
    if (o->all.set && !o->all.v)
        TRY(push_alone(list, sink, ret_digest));
    else
        TRY(copy_image(from, sink, &options, ret_digest));
    TRY(sink->ops->finish(sink));
    return place_finish(to);
}

static fallible confine(const struct image_session *s, const struct place *to)
{
    struct landlock_path more[1];
    size_t n = place_landlock(to, PLACE_SINK, &more[0]);
    return image_confine_paths(s->store, more, n);
}

static fallible push_run(const void *opts_, struct args args)
{
    const struct push_opts *o = opts_;
    struct remote_opts remote = o->remote;
    own(image_session) struct image_session *s = NULL;
    own(list) struct list *list = NULL;
    own(place) struct place *to = NULL;
    own(origins) struct origins origins = { .refs = NULL };
    own(outfile) struct outfile *digestfile = NULL;
    own(sigstore_key) struct sigstore_key *key = NULL;
    own_mem char *full = NULL;
    own_mem char *digest = NULL;
    if (o->insecure)
        remote.tls_verify = "false";
    struct packing packing;
    (void)signal(SIGPIPE, SIG_IGN);
    TRY(how_to_pack(o, &packing)); /* what is wrong is said before anything is asked of a registry */
    TRY(list_full_name(args.v[0], &full));
    TRY(place_parse(args.n > 1 ? args.v[1] : full, PLACE_SINK, &to));
    TRY(sign_by_key(&o->sign, &key));
    if (key && (to->kind != PLACE_REGISTRY || (o->all.set && !o->all.v)))
        return err_new(ERR_UNSUPPORTED, "--sign-by-sigstore-private-key is for lists that go to a registry whole: "
                                        "elsewhere 'husk image sign' signs");
    if (o->digestfile)
        TRY_AS(outfile_open(o->digestfile, 0644, &digestfile), "--digestfile");
    TRY(place_open(to, PLACE_SINK, &remote));
    TRY(image_session_open(&s));
    TRY(list_read(s->store, full, &list));
    TRY(prepare_origins(&remote, list, &origins));
    if (str_eq(o->format, "v2s2"))
        TRY_AS(list_as_docker(list), "--format v2s2");
    TRY(confine(s, to));
    TRY_AS(push_to(o, s->store, list, &origins, to, &digest), "push list '%s'", full);
    if (to->kind == PLACE_REGISTRY)
        image_say_sent(s, "push", to->ref, digest);
    else
        image_say(s, "save", digest, full);
    if (key)
        TRY(sign_pushed(key, to->ref, &to->remote->options, digest));
    TRY_AS(outfile_finish_text(digestfile, digest), "--digestfile");
    printf("%s\n", digest);
    return o->purge || o->remove ? layout_remove_name(s->store, full) : NULL;
}

const struct command cmd_manifest_push = {
    .name = "push",
    .args = "LIST [DESTINATION]",
    .summary = "Send a list and its images to a registry, or to another place",
    .detail = "DESTINATION is by default the list's own name. An image that is not here comes from the repository that "
              "it was\n"
              "added from; where that is in the same registry, its blobs are mounted and nothing travels.\n"
              "\n" PLACES_DETAIL "\n" REMOTE_DETAIL,
    .opts = push_rows,
    .opts_size = sizeof(struct push_opts),
    .min_args = 1,
    .max_args = 2,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = push_run,
};
