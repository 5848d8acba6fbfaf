/*
 * husk verify: are the bytes of the store still what they were?
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/parse.h"
#include "cli/image_common.h"
#include "image/ref.h"
#include "layers/extents.h"
#include "layers/verify.h"

struct verify_opts {
    bool all, repair, quick, quiet, extents;
    const char *tls_verify;
};

static const char *const true_false[] = { "true", "false", NULL };

#define T struct verify_opts
static const struct opt verify_rows[] = {
    OPT_FLAG('a', "all", T, all, "All images"),
    OPT_FLAG(0, "repair", T, repair, "Fetch damaged blobs again, unpack damaged layers again"),
    OPT_FLAG(0, "quick", T, quick, "Only what is missing or has the wrong size"),
    OPT_FLAG(0, "extents", T, extents,
             "Not images, but the index by which equal files share extents; --repair makes it anew"),
    OPT_FLAG('q', "quiet", T, quiet, "Print only what is wrong"),
    OPT_STR(0, "tls-verify", T, tls_verify, "true|false", "Check the registry's certificate; false also allows http",
            .words = true_false),
    OPT_END,
};
#undef T

/* Credentials are read before the process confines itself: one for each name that may be fetched. */
struct origin {
    char *name;
    struct credentials *auth;
};
struct run {
    const struct verify_opts *opts;
    struct origin *origins;
    size_t n;
};

static err *open_registry(void *ctx, const char *full_name, struct registry **ret)
{
    const struct run *run = ctx;
    own(ref) struct ref *ref = NULL;
    struct registry_options o = { .insecure = str_eq(run->opts->tls_verify, "false") };
    TRY(ref_parse(full_name, &ref));
    for (size_t i = 0; i < run->n; i++)
        if (str_eq(run->origins[i].name, full_name))
            o.auth = run->origins[i].auth;
    return registry_open(ref, &o, ret);
}

static void print(void *ctx, const char *line)
{
    (void)ctx;
    printf("%s\n", line);
    fflush(stdout);
}

static fallible find_origins(struct run *run, struct layout *l)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; run->opts->repair && i < index->manifests_n; i++) {
        const char *name = strmap_get(&index->manifests[i].annotations, "org.opencontainers.image.ref.name");
        own(ref) struct ref *ref = NULL;
        own(err) err *e = name ? ref_parse(name, &ref) : NULL;
        if (e || !ref)
            continue;
        run->origins = mem_array(run->origins, run->n + 1, sizeof *run->origins);
        struct origin *o = &run->origins[run->n++];
        *o = (struct origin){ .name = mem_strdup(name) };
        err_ignore(credentials_find(NULL, ref->registry, ref->repository, 0, &o->auth),
                   "then without; the registry says so");
    }
    return NULL;
}

/* What index.json has for each argument: names by their full form, IDs by the manifest's digest. */
static fallible find_names(struct layout *l, struct args args, struct strv *ret)
{
    for (int i = 0; i < args.n; i++) {
        own(ref) struct ref *ref = NULL;
        own(image) struct image *image = NULL;
        own(err) err *no = ref_parse(args.v[i], &ref);
        own_mem char *full = no ? NULL : ref_full(ref);
        own(oci_index) struct oci_index *index = NULL;
        TRY(layout_read_index(l, &index));
        bool known = false;
        for (size_t k = 0; k < index->manifests_n; k++) {
            const char *name = strmap_get(&index->manifests[k].annotations, "org.opencontainers.image.ref.name");
            known |= (full && str_eq(name, full)) || str_eq(index->manifests[k].digest, args.v[i]);
        }
        if (known) { /* broken ones, too, which image_find() would not answer */
            strv_add(ret, full ? full : args.v[i]);
            strv_add(ret, args.v[i]);
            continue;
        }
        TRY(image_find(l, args.v[i], NULL, &image));
        strv_add(ret, image->manifest_digest);
    }
    return NULL;
}

static fallible report(const struct verify_opts *opts, const struct verify_result *r)
{
    char size[32];
    if (!opts->quiet) {
        printf("%zu blobs and %zu layers, %s hashed: ", r->blobs, r->layers, format_bytes(r->bytes, size));
        printf(r->bad ? "%zu damaged, %zu repaired\n" : "all good\n", r->bad, r->repaired);
        if (r->unknown)
            printf(r->unknown == 1
                       ? "1 layer could not be compared: its packed bytes were not kept, or are damaged\n"
                       : "%zu layers could not be compared: their packed bytes were not kept, or are damaged\n",
                   r->unknown);
    }
    return r->bad == r->repaired ? NULL : err_exit(1);
}

/* With --quiet nothing is said of one that was repaired: husk system check does. */
static fallible verify_extents(const struct verify_opts *opts, struct layout *l)
{
    own(err) err *wrong = extents_check(l);
    if (wrong && !err_is(wrong, ERR_CORRUPT))
        return take(wrong);
    if (wrong && opts->repair)
        TRY(extents_rebuild(l));
    if (wrong && !(opts->repair && opts->quiet))
        printf("%s%s\n", err_text(wrong), opts->repair ? ": made anew" : "");
    else if (!wrong && !opts->quiet)
        printf("the index of shared extents is good\n");
    return wrong && !opts->repair ? err_exit(1) : NULL;
}

static fallible verify_run(const void *opts_, struct args args)
{
    struct run run = { .opts = opts_ };
    const struct verify_opts *opts = opts_;
    own(image_session) struct image_session *s = NULL;
    own_strv struct strv names = { 0 };
    struct verify_result r = { 0 };
    if (opts->extents && (opts->all || args.n > 0))
        return err_new(ERR_INVALID, "--extents is about no image: no names and no --all beside it");
    if (!opts->extents && (opts->all ? args.n > 0 : args.n == 0))
        return err_new(ERR_INVALID, opts->all ? "--all takes no names" : "name images, or say --all");
    TRY(image_session_open(&s));
    if (opts->extents) {
        TRY(image_confine(s, -1));
        return verify_extents(opts, s->store);
    }
    TRY(find_names(s->store, args, &names));
    err *e = find_origins(&run, s->store);
    if (!e)
        e = image_confine(s, -1);
    struct verify_options o = {
        .repair = opts->repair, .quick = opts->quick, .open_registry = open_registry, .tell = print, .ctx = &run
    };
    if (!e)
        e = verify_images(s->store, opts->all ? NULL : &names, &o, &r);
    for (size_t i = 0; i < run.n; i++) {
        free(run.origins[i].name);
        credentials_free(run.origins[i].auth);
    }
    free(run.origins);
    return e ? e : report(opts, &r);
}

const struct command cmd_verify = {
    .name = "verify",
    .args = "[IMAGE...]",
    .summary = "Compare the bytes of images with their digests",
    .detail =
        "Blobs are hashed again; the files of each layer are compared with what its blob unpacks to. Exit status 1\n"
        "when something is damaged and was not repaired.",
    .opts = verify_rows,
    .opts_size = sizeof(struct verify_opts),
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = verify_run,
};
