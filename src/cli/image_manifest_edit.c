/*
 * husk manifest create, add, annotate, remove: a list of several platforms' images, in the store.
 * Compatible with: docker manifest create and annotate, podman manifest create, add, annotate and remove.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/image_manifest.h"
#include "cli/image_places.h"
#include "layers/artifact.h"
#include "os/fs.h"
#include "transport/list.h"

struct edit_opts {
    bool amend, all, insecure, of_list;
    bool artifact, exclude_titles;
    const char *artifact_type, *artifact_config, *artifact_config_type, *layer_type, *subject;
    const char *os, *arch, *variant, *os_version;
    struct strv os_features, annotations;
    struct remote_opts remote;
};

#define T struct edit_opts
#define WORD_ROWS                                                                                                      \
    OPT_STRS(0, "annotation", T, annotations, "KEY=VALUE", "An annotation of the entry"),                              \
        OPT_STR(0, "arch", T, arch, "ARCH", "Say that it is for this architecture"),                                   \
        OPT_STR(0, "os", T, os, "OS", "Say that it is for this operating system"),                                     \
        OPT_STRS(0, "os-features", T, os_features, "FEATURE", "Features of the operating system that it needs"),       \
        OPT_STR(0, "os-version", T, os_version, "VERSION", "Say that it is for this version of the operating system"), \
        OPT_STR(0, "variant", T, variant, "VARIANT", "Say that it is for this variant of the architecture")
static const struct opt create_rows[] = {
    OPT_FLAG(0, "all", T, all, "All platforms of an image that has several, instead of this machine's"),
    OPT_FLAG('a', "amend", T, amend, "Add to a list that is there already"),
    OPT_STRS(0, "annotation", T, annotations, "KEY=VALUE", "An annotation of the list"),
    OPT_FLAG(0, "insecure", T, insecure, "The same as --tls-verify=false"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt add_rows[] = {
    OPT_FLAG(0, "all", T, all, "All platforms of an image that has several, instead of this machine's"),
    OPT_FLAG(0, "artifact", T, artifact, "Make an artifact of files, and add that"),
    OPT_STR(0, "artifact-config", T, artifact_config, "FILE", "The artifact's config (default: an empty object)"),
    OPT_STR(0, "artifact-config-type", T, artifact_config_type, "TYPE", "The media type of the config"),
    OPT_FLAG(0, "artifact-exclude-titles", T, exclude_titles, "Layers do not have their files' names"),
    OPT_STR(0, "artifact-layer-type", T, layer_type, "TYPE",
            "The media type of the files (default application/octet-stream)"),
    OPT_STR(0, "artifact-subject", T, subject, "IMAGE", "The image that the artifact is about"),
    OPT_STR(0, "artifact-type", T, artifact_type, "TYPE", "The artifact's type (default " ARTIFACT_TYPE_UNKNOWN ")"),
    WORD_ROWS,
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt annotate_rows[] = {
    OPT_FLAG(0, "index", T, of_list, "The annotations are the list's, not those of an entry"),
    WORD_ROWS,
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt no_rows[] = { OPT_END };
#undef T

fallible list_full_name(const char *text, char **ret)
{
    own(ref) struct ref *ref = NULL;
    TRY_AS(ref_parse(text, &ref), "'%.300s'", text);
    if (ref->digest)
        return err_new(ERR_INVALID, "'%.300s': a list's name has no digest", text);
    *ret = ref_full(ref);
    return NULL;
}

static struct list_words words_of(const struct edit_opts *o)
{
    return (struct list_words){
        .os = o->os,
        .arch = o->arch,
        .variant = o->variant,
        .os_version = o->os_version,
        .os_features = &o->os_features,
        .annotations = &o->annotations,
    };
}

/* ---- an image that is to be added ---- */

struct image_place {
    const char *text;
    struct strv names; /* full ones, in the order in which they are tried */
    struct ref **refs;
    struct remote **remotes;
    bool only_here, only_there; /* store:, docker:// */
};
static void image_place_free(struct image_place *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->refs && i < p->names.n; i++) {
        ref_free(p->refs[i]);
        remote_free(p->remotes[i]);
    }
    free(p->refs);
    free(p->remotes);
    strv_free(&p->names);
    free(p);
}
OWN_TYPE(image_place, struct image_place *, image_place_free)

/* Credentials are read before the program confines itself, for all registries that may be asked. */
static fallible image_place(const char *text, const struct edit_opts *o, struct image_place **ret)
{
    own(image_place) struct image_place *p = mem_zalloc(sizeof *p);
    struct remote_opts remote = o->remote;
    if (o->insecure)
        remote.tls_verify = "false";
    p->only_there = str_starts(text, "docker://");
    p->only_here = str_starts(text, "store:");
    p->text = text;
    const char *name = p->only_there ? text + strlen("docker://") : p->only_here ? text + strlen("store:") : text;
    TRY(remote_resolve(name, &p->names));
    p->refs = mem_zalloc(p->names.n * sizeof(struct ref *));
    p->remotes = mem_zalloc(p->names.n * sizeof(struct remote *));
    for (size_t i = 0; i < p->names.n; i++) {
        TRY(ref_parse(p->names.items[i], &p->refs[i]));
        if (!p->only_here)
            TRY(remote_prepare(&remote, p->refs[i], REGISTRY_PULL, &p->remotes[i]));
    }
    *ret = take(p);
    return NULL;
}

static fallible add_from(struct list *list, struct source *from, const struct ref *ref, const struct edit_opts *o)
{
    own(oci_index) struct oci_index *entries = NULL;
    own_mem char *origin = mem_printf("%s/%s", ref->registry, ref->repository);
    struct list_words words = words_of(o);
    TRY(list_entries(from, o->all, &entries));
    for (size_t i = 0; i < entries->manifests_n; i++) {
        TRY(list_add(list, &entries->manifests[i], origin));
        TRY(list_annotate(list, entries->manifests[i].digest, &words));
    }
    return NULL;
}

static fallible add_here(struct layout *l, struct list *list, const struct image_place *p, size_t i,
                         const struct edit_opts *o)
{
    own(source) struct source *from = NULL;
    TRY(source_store(l, p->names.items[i], &from));
    return add_from(list, from, p->refs[i], o);
}

static fallible add_there(struct list *list, const struct image_place *p, size_t i, const struct edit_opts *o)
{
    own(source) struct source *from = NULL;
    TRY(source_registry(p->refs[i], &p->remotes[i]->options, &from));
    return add_from(list, from, p->refs[i], o);
}

/* The store comes first, then the registries. */
static fallible add_image(struct layout *l, struct list *list, const struct image_place *p, const struct edit_opts *o)
{
    err *e = NULL;
    for (size_t i = 0; i < p->names.n && !p->only_there; i++) {
        err_ignore(e, "the next place is asked");
        e = add_here(l, list, p, i, o);
        if (!err_is(e, ERR_NOT_FOUND))
            return e;
    }
    for (size_t i = 0; i < p->names.n && !p->only_here; i++) {
        err_ignore(e, "the next place is asked");
        e = add_there(list, p, i, o);
        if (!err_is(e, ERR_NOT_FOUND))
            return e;
    }
    return e;
}

/* ---- the commands ---- */

static fallible places_of(const struct edit_opts *o, char **texts, size_t n, struct image_place **places)
{
    for (size_t i = 0; i < n; i++)
        TRY_AS(image_place(texts[i], o, &places[i]), "'%.300s'", texts[i]);
    return NULL;
}

static fallible add_all(struct layout *l, struct list *list, struct image_place *const *places, size_t n,
                        const struct edit_opts *o)
{
    for (size_t i = 0; i < n; i++)
        TRY_AS(add_image(l, list, places[i], o), "image '%.300s'", places[i]->text);
    return NULL;
}

static fallible save(struct layout *l, const struct list *list)
{
    own_mem char *digest = NULL;
    TRY(list_write(l, list, &digest));
    printf("%s\n", digest);
    return NULL;
}

static fallible create_list(struct layout *l, const char *full, const struct edit_opts *o,
                            struct image_place *const *places, size_t n)
{
    own(list) struct list *list = NULL;
    struct edit_opts of_images = { .all = o->all };
    own_fd int lock = -1;
    TRY(list_lock(l, &lock));
    err *e = list_read(l, full, &list);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "a new one");
        list = list_new(full);
    } else {
        TRY(e);
        if (!o->amend)
            return err_new(ERR_EXISTS, "there is a list '%s' already: --amend adds to it", full);
    }
    TRY(list_annotate_self(list, &o->annotations));
    TRY(add_all(l, list, places, n, &of_images));
    return save(l, list);
}

static void places_free(struct image_place **places, size_t n)
{
    for (size_t i = 0; i < n; i++)
        image_place_free(places[i]);
    free(places);
}

static fallible create_here(const struct edit_opts *o, const char *full, struct image_place *const *places, size_t n)
{
    own(image_session) struct image_session *s = NULL;
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    return create_list(s->store, full, o, places, n);
}

static fallible create_run(const void *opts_, struct args args)
{
    const struct edit_opts *o = opts_;
    own_mem char *full = NULL;
    size_t n = (size_t)args.n - 1;
    TRY(list_full_name(args.v[0], &full));
    struct image_place **places = mem_zalloc((n + 1) * sizeof(struct image_place *));
    err *e = places_of(o, args.v + 1, n, places);
    if (!e)
        e = create_here(o, full, places, n);
    places_free(places, n);
    return e;
}

/* ---- an artifact that is made for the list ---- */

enum { ARTIFACT_FILES_MAX = 200, ARTIFACT_CONFIG_MAX = 4 << 20 };

struct artifact_parts {
    struct artifact_file files[ARTIFACT_FILES_MAX];
    size_t n;
    char *config;
    struct image_place *subject;
};
static inline void own_drop_artifact_parts(struct artifact_parts *p)
{
    while (p->n)
        close_now(&p->files[--p->n].fd);
    free(p->config);
    image_place_free(p->subject);
}

/* While we are the user, and may open what he may. */
static fallible open_parts(const struct edit_opts *o, char **paths, size_t n, struct artifact_parts *ret)
{
    if (n > ARTIFACT_FILES_MAX)
        return err_new(ERR_EXHAUSTED, "more than %d files", ARTIFACT_FILES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        const char *slash = strrchr(paths[i], '/');
        own_fd int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
            return err_sys(errno, "open '%s'", paths[i]);
        if (!S_ISREG(st.st_mode))
            return err_new(ERR_INVALID, "'%s' is no regular file", paths[i]);
        ret->files[ret->n++] =
            (struct artifact_file){ .fd = take_fd(&fd),
                                    .title = slash ? slash + 1 : paths[i],
                                    .media_type = o->layer_type ? o->layer_type : "application/octet-stream" };
    }
    size_t len = 0;
    if (o->artifact_config)
        TRY_AS(fs_read_at(AT_FDCWD, o->artifact_config, ARTIFACT_CONFIG_MAX, &ret->config, &len), "--artifact-config");
    if (o->artifact_config && strlen(ret->config) != len)
        return err_new(ERR_INVALID, "--artifact-config '%s': it is no text", o->artifact_config);
    return o->subject ? image_place(o->subject, o, &ret->subject) : NULL;
}

static fallible add_artifact(struct layout *l, struct list *list, const struct artifact_parts *parts,
                             const struct edit_opts *o)
{
    struct edit_opts nothing = { .all = true };
    struct artifact_wish wish = { .type = o->artifact_type,
                                  .config = parts->config,
                                  .config_type = o->artifact_config_type,
                                  .no_titles = o->exclude_titles };
    own(list) struct list *about = list_new(list->name);
    own_mem char *digest = NULL;
    struct oci_descriptor d = { .media_type = (char *)MEDIA_OCI_MANIFEST,
                                .artifact_type =
                                    (char *)(o->artifact_type ? o->artifact_type : ARTIFACT_TYPE_UNKNOWN) };
    struct list_words words = words_of(o);
    if (parts->subject)
        TRY_AS(add_image(l, about, parts->subject, &nothing), "--artifact-subject '%.300s'", o->subject);
    if (about->index->manifests_n > 1)
        return err_new(ERR_INVALID, "--artifact-subject: '%.300s' has several platforms: name one by its digest",
                       o->subject);
    wish.subject = about->index->manifests_n ? &about->index->manifests[0] : NULL;
    TRY(artifact_make(l, &wish, parts->files, parts->n, &digest, &d.size));
    d.digest = digest;
    TRY(list_add(list, &d, NULL));
    return list_annotate(list, digest, &words);
}

static fallible add_artifact_run(const struct edit_opts *o, struct args args)
{
    own(artifact_parts) struct artifact_parts parts = { .n = 0 };
    own(image_session) struct image_session *s = NULL;
    own(list) struct list *list = NULL;
    own_mem char *full = NULL;
    own_fd int lock = -1;
    TRY(list_full_name(args.v[0], &full));
    TRY(open_parts(o, args.v + 1, (size_t)args.n - 1, &parts));
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    TRY(list_lock(s->store, &lock));
    TRY(list_read(s->store, full, &list));
    TRY(add_artifact(s->store, list, &parts, o));
    return save(s->store, list);
}

static fallible add_run(const void *opts_, struct args args)
{
    const struct edit_opts *o = opts_;
    if (o->artifact)
        return add_artifact_run(o, args);
    if (o->artifact_type || o->artifact_config || o->artifact_config_type || o->layer_type || o->subject ||
        o->exclude_titles)
        return err_new(ERR_INVALID, "the --artifact- options are for --artifact");
    if (args.n != 2)
        return err_new(ERR_INVALID, "one image at a time is added; with --artifact any number of files");
    own(image_place) struct image_place *place = NULL;
    own(image_session) struct image_session *s = NULL;
    own(list) struct list *list = NULL;
    own_mem char *full = NULL;
    own_fd int lock = -1;
    TRY(list_full_name(args.v[0], &full));
    TRY(places_of(o, args.v + 1, 1, &place));
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    TRY(list_lock(s->store, &lock));
    TRY(list_read(s->store, full, &list));
    TRY(add_all(s->store, list, &place, 1, o));
    return save(s->store, list);
}

/* docker names the image, podman its digest. */
static fallible digest_of_entry(struct layout *l, const struct list *list, const struct image_place *place,
                                const char *text, char **ret)
{
    struct edit_opts nothing = { .all = true };
    if (digest_valid(text)) {
        *ret = mem_strdup(text);
        return NULL;
    }
    own(list) struct list *alone = list_new(list->name);
    TRY_AS(add_image(l, alone, place, &nothing), "image '%.300s'", text);
    for (size_t i = 0; i < alone->index->manifests_n; i++)
        for (size_t j = 0; j < list->index->manifests_n; j++)
            if (str_eq(alone->index->manifests[i].digest, list->index->manifests[j].digest)) {
                *ret = mem_strdup(list->index->manifests[j].digest);
                return NULL;
            }
    return err_new(ERR_NOT_FOUND, "image '%.300s' is not in the list '%s'", text, list->name);
}

static fallible annotate_run(const void *opts_, struct args args)
{
    const struct edit_opts *o = opts_;
    own(image_place) struct image_place *place = NULL;
    own(image_session) struct image_session *s = NULL;
    own(list) struct list *list = NULL;
    own_mem char *full = NULL;
    own_mem char *digest = NULL;
    own_fd int lock = -1;
    struct list_words words = words_of(o);
    if (o->of_list ? args.n != 1 : args.n != 2)
        return err_new(ERR_INVALID, o->of_list ? "--index takes the list alone" : "needs LIST IMAGE");
    if (o->of_list && (o->os || o->arch || o->variant || o->os_version || o->os_features.n))
        return err_new(ERR_INVALID, "--index takes --annotation alone: a list is for no platform");
    TRY(list_full_name(args.v[0], &full));
    if (!o->of_list && !digest_valid(args.v[1]))
        TRY(places_of(o, args.v + 1, 1, &place));
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    TRY(list_lock(s->store, &lock));
    TRY(list_read(s->store, full, &list));
    if (o->of_list) {
        TRY(list_annotate_self(list, &o->annotations));
        return save(s->store, list);
    }
    TRY(digest_of_entry(s->store, list, place, args.v[1], &digest));
    TRY(list_annotate(list, digest, &words));
    return save(s->store, list);
}

static fallible remove_run(const void *opts, struct args args)
{
    own(image_session) struct image_session *s = NULL;
    own(list) struct list *list = NULL;
    own_mem char *full = NULL;
    own_fd int lock = -1;
    TRY(list_full_name(args.v[0], &full));
    TRY(image_session_open(&s));
    TRY(list_lock(s->store, &lock));
    TRY(list_read(s->store, full, &list));
    for (int i = 1; i < args.n; i++)
        TRY(list_remove(list, args.v[i]));
    return save(s->store, list);
}

#define IMAGES_DETAIL                                                                                                  \
    "IMAGE is a name: the store's, or when it is not there the registry's (store:NAME and docker://NAME mean one of\n" \
    "them). Of a registry's image only the documents are read; its layers stay where they are, and `husk manifest\n"   \
    "push` mounts or copies them. The list's digest is printed.\n"

const struct command cmd_manifest_create = {
    .name = "create",
    .args = "LIST [IMAGE...]",
    .summary = "Make a list of several platforms' images",
    .detail = IMAGES_DETAIL "\n" REMOTE_DETAIL,
    .opts = create_rows,
    .opts_size = sizeof(struct edit_opts),
    .min_args = 1,
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = create_run,
};
const struct command cmd_manifest_add = {
    .name = "add",
    .args = "LIST IMAGE | --artifact LIST FILE...",
    .summary = "Add an image, or an artifact made of files, to a list",
    .detail = IMAGES_DETAIL "\n" REMOTE_DETAIL,
    .opts = add_rows,
    .opts_size = sizeof(struct edit_opts),
    .min_args = 2,
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = add_run,
};
const struct command cmd_manifest_annotate = {
    .name = "annotate",
    .args = "LIST [IMAGE|DIGEST]",
    .summary = "Say for which platform an image of a list is",
    .detail = REMOTE_DETAIL,
    .opts = annotate_rows,
    .opts_size = sizeof(struct edit_opts),
    .min_args = 1,
    .max_args = 2,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = annotate_run,
};
const struct command cmd_manifest_remove = {
    .name = "remove",
    .args = "LIST DIGEST...",
    .summary = "Take images out of a list",
    .opts = no_rows,
    .opts_size = sizeof(struct edit_opts),
    .min_args = 2,
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = remove_run,
};
