/*
 * From what a user typed to an image of the store: index.json, then the platform's manifest, then the config.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/log.h"
#include "image/layout.h"
#include "image/ref.h"
#include "image/registries.h"

#define NAME_KEY "org.opencontainers.image.ref.name"

void image_free(struct image *i)
{
    if (!i)
        return;
    free(i->name);
    free(i->manifest_digest);
    free(i->id);
    oci_manifest_free(i->manifest);
    oci_image_config_free(i->config);
    free(i->config_text);
    free(i);
}

/* Whatever is wrong with a document that is already in the store is the store's fault, not the request's. */
static fallible as_corrupt(const char *digest, err *take_e)
{
    own(err) err *e = take_e;
    if (!e)
        return NULL;
    if (err_is(e, ERR_NOT_FOUND))
        return err_new(ERR_CORRUPT, "blob %s is missing from the store: pull the image again", digest);
    return err_new(ERR_CORRUPT, "%s: pull the image again", err_text(e));
}

static fallible read_document(struct layout *l, const struct oci_descriptor *d, char **ret_text, size_t *ret_len)
{
    own_mem char *text = NULL;
    TRY(as_corrupt(d->digest, layout_read_blob(l, d->digest, &text, ret_len)));
    if ((int64_t)*ret_len != d->size)
        return err_new(ERR_CORRUPT, "blob %s has %zu bytes instead of %lld: pull the image again", d->digest, *ret_len,
                       (long long)d->size);
    *ret_text = take(text);
    return NULL;
}

static fallible read_sub_index(struct layout *l, const struct oci_descriptor *d, struct oci_index **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(read_document(l, d, &text, &len));
    return as_corrupt(d->digest, oci_index_read(text, len, ret));
}

static fallible read_manifest(struct layout *l, const struct oci_descriptor *d, struct oci_manifest **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(read_document(l, d, &text, &len));
    return as_corrupt(d->digest, oci_manifest_read(text, len, ret));
}

static fallible read_config(struct layout *l, struct image *i)
{
    size_t len = 0;
    TRY(read_document(l, i->manifest->config, &i->config_text, &len));
    TRY(as_corrupt(i->id, oci_image_config_read(i->config_text, len, &i->config)));
    if (i->config->rootfs->diff_ids.n != i->manifest->layers_n)
        return err_new(ERR_CORRUPT, "the config names %zu layers, the manifest %zu", i->config->rootfs->diff_ids.n,
                       i->manifest->layers_n);
    return NULL;
}

/* The image of one platform's manifest. */
static fallible load(struct layout *l, const struct oci_descriptor *d, struct image **ret)
{
    own(image) struct image *i = mem_zalloc(sizeof *i);
    i->manifest_digest = mem_strdup(d->digest);
    TRY(read_manifest(l, d, &i->manifest));
    if (!oci_manifest_is_image(i->manifest))
        return err_new(ERR_UNSUPPORTED,
                       "it is no container image but an artifact of type '%.100s': see 'husk artifact'",
                       i->manifest->artifact_type ? i->manifest->artifact_type : i->manifest->config->media_type);
    i->id = mem_strdup(i->manifest->config->digest);
    TRY(read_config(l, i));
    i->size = i->manifest->config->size;
    for (size_t n = 0; n < i->manifest->layers_n; n++)
        if (__builtin_add_overflow(i->size, i->manifest->layers[n].size, &i->size))
            return err_new(ERR_CORRUPT, "the layers' sizes add up to more than there is");
    *ret = take(i);
    return NULL;
}

static bool is_here(struct layout *l, const struct oci_descriptor *d)
{
    return media_is_manifest(d->media_type) && layout_has_blob(l, d->digest, d->size);
}

/* The platform's manifest of an index was perhaps never pulled: only those asked for are. */
static fallible choose_here(struct layout *l, const struct oci_index *index, const char *platform,
                            const struct oci_descriptor **ret)
{
    own_str struct str others = { 0 };
    TRY(platform_choose(index, platform, ret));
    if (is_here(l, *ret))
        return NULL;
    for (size_t i = 0; i < index->manifests_n; i++) {
        if (!index->manifests[i].platform || !is_here(l, &index->manifests[i]))
            continue;
        own_mem char *text = platform_text(index->manifests[i].platform);
        str_printf(&others, "%s%.100s", others.len ? ", " : "", text);
    }
    return err_new(ERR_NOT_FOUND, "not pulled for platform %s%s%s", platform ? platform : platform_of_host(),
                   others.len ? ", only for " : "", others.len ? others.text : "");
}

static fallible check_platform(const struct image *i, const char *platform)
{
    struct oci_platform have = { .os = i->config->os,
                                 .architecture = i->config->architecture,
                                 .variant = i->config->variant };
    if (!platform || platform_matches(&have, platform))
        return NULL;
    own_mem char *text = platform_text(&have);
    return err_new(ERR_NOT_FOUND, "not for platform %s but for %.100s", platform, text);
}

/* What a user may not type stands for "whichever is here", and for "even if none is". */
static const char here[] = "\1", name_alone[] = "\2";

static const char *said(const char *platform)
{
    return platform == here || platform == name_alone ? NULL : platform;
}

static fallible resolve_for(struct layout *l, const struct oci_descriptor *d, const char *platform, struct image **ret)
{
    own(image) struct image *i = NULL;
    own(oci_index) struct oci_index *index = NULL;
    if (media_is_index(d->media_type)) {
        TRY(read_sub_index(l, d, &index));
        TRY(choose_here(l, index, platform, &d));
        TRY(load(l, d, &i));
    } else {
        TRY(load(l, d, &i));
        TRY(check_platform(i, platform));
    }
    *ret = take(i);
    return NULL;
}

fallible image_of_descriptor(struct layout *l, const struct oci_descriptor *d, struct image **ret)
{
    err *e = resolve_for(l, d, NULL, ret);
    if (!err_is(e, ERR_NOT_FOUND) || !media_is_index(d->media_type))
        return e;
    own(oci_index) struct oci_index *index = NULL;
    err_ignore(read_sub_index(l, d, &index), "the first says more");
    for (size_t i = 0; index && i < index->manifests_n; i++) {
        if (!is_here(l, &index->manifests[i]))
            continue;
        err_free(e);
        return load(l, &index->manifests[i], ret);
    }
    return e;
}

static fallible resolve(struct layout *l, const struct oci_descriptor *d, const char *platform, struct image **ret)
{
    if (platform != here && platform != name_alone)
        return resolve_for(l, d, platform, ret);
    err *e = image_of_descriptor(l, d, ret);
    if (platform == here || !err_is(e, ERR_NOT_FOUND) || !media_is_index(d->media_type))
        return e;
    err_ignore(e, "its name is enough");
    own(image) struct image *i = mem_zalloc(sizeof *i);
    i->id = mem_strdup(d->digest);
    i->manifest_digest = mem_strdup(d->digest);
    *ret = take(i);
    return NULL;
}

static const char *name_of(const struct oci_descriptor *d)
{
    return strmap_get(&d->annotations, NAME_KEY);
}

/* Other tools write short names into a layout. Answers the full one, or NULL. */
char *image_name_of(const struct oci_descriptor *d)
{
    own(ref) struct ref *r = NULL;
    const char *name = name_of(d);
    err_ignore(name ? ref_parse(name, &r) : NULL, "a name that is none of ours");
    return r ? ref_full(r) : NULL;
}

static const struct oci_descriptor *find_full_name(const struct oci_index *index, const char *full)
{
    for (size_t i = 0; i < index->manifests_n; i++)
        if (str_eq(name_of(&index->manifests[i]), full))
            return &index->manifests[i];
    for (size_t i = 0; i < index->manifests_n; i++) {
        own_mem char *name = image_name_of(&index->manifests[i]);
        if (str_eq(name, full))
            return &index->manifests[i];
    }
    return NULL;
}

/* Does the image that d points at have this digest: itself, or one of its platforms' manifests? */
static const struct oci_descriptor *has_digest(struct layout *l, const struct oci_descriptor *d, const char *digest,
                                               struct oci_index **keep)
{
    if (str_eq(d->digest, digest))
        return d;
    if (!media_is_index(d->media_type))
        return NULL;
    own(oci_index) struct oci_index *index = NULL;
    err_ignore(read_sub_index(l, d, &index), "then it has no manifests either");
    for (size_t i = 0; index && i < index->manifests_n; i++) {
        if (!str_eq(index->manifests[i].digest, digest) || !is_here(l, &index->manifests[i]))
            continue;
        *keep = take(index);
        return &(*keep)->manifests[i];
    }
    return NULL;
}

/* "name@digest": any tag of the same repository that points there. */
static fallible find_by_digest(struct layout *l, const struct oci_index *index, const struct ref *asked,
                               const char *platform, struct image **ret)
{
    for (size_t i = 0; i < index->manifests_n; i++) {
        own(ref) struct ref *r = NULL;
        own(oci_index) struct oci_index *keep = NULL;
        const char *name = name_of(&index->manifests[i]);
        err_ignore(name ? ref_parse(name, &r) : NULL, "a name that is none of ours");
        if (!r || !str_eq(r->registry, asked->registry) || !str_eq(r->repository, asked->repository))
            continue;
        const struct oci_descriptor *d = has_digest(l, &index->manifests[i], asked->digest, &keep);
        if (d)
            return resolve(l, d, platform, ret);
    }
    return err_new(ERR_NOT_FOUND, "no such image");
}

/* A name without a registry that is not Docker Hub's here: what it means by registries.conf; last localhost's, which is
 * where podman and buildah put what they build. NULL: nothing that is here. Only after a miss: no command that finds
 * its image reads those files. */
static const struct oci_descriptor *find_short_name(const struct oci_index *index, const struct ref *ref, char **full)
{
    own(registries) struct registries *r = NULL;
    own_strv struct strv names = { 0 };
    own_mem char *typed = ref_familiar(ref);
    err *e = ref->is_short ? registries_load(&r) : NULL;
    if (r && !e)
        e = registries_resolve(r, typed, &names);
    if (e)
        log_debug("image: '%s' is looked for as it is: %s", typed, err_text(e));
    err_ignore(e, "then only as it is; a pull says what is wrong with the files");
    if (ref->is_short)
        strv_add_printf(&names, "localhost/%s", typed);
    for (size_t i = 0; i < names.n; i++) {
        const struct oci_descriptor *d = find_full_name(index, names.items[i]);
        if (!d)
            continue;
        free(*full);
        *full = mem_strdup(names.items[i]);
        return d;
    }
    return NULL;
}

static fallible find_by_name(struct layout *l, const struct oci_index *index, const struct ref *ref,
                             const char *platform, struct image **ret)
{
    own_mem char *full = ref_full(ref);
    own(image) struct image *image = NULL;
    if (ref->digest) {
        TRY(find_by_digest(l, index, ref, platform, &image));
    } else {
        const struct oci_descriptor *d = find_full_name(index, full);
        if (!d)
            d = find_short_name(index, ref, &full);
        if (!d)
            return err_new(ERR_NOT_FOUND, "no such image");
        TRY(resolve(l, d, platform, &image));
    }
    image->name = take(full);
    *ret = take(image);
    return NULL;
}

/* "sha256:ab12", "ab12": the digits, or NULL when it cannot be an ID. */
static const char *id_digits(const char *what)
{
    const char *hex = str_starts(what, "sha256:") ? what + strlen("sha256:") : what;
    size_t n = strspn(hex, "0123456789abcdef");
    return !hex[n] && n >= 2 && n <= 64 ? hex : NULL;
}

struct id_search {
    struct layout *l;
    const char *digits, *platform;
    struct image *found;
};

static fallible try_id(struct id_search *s, const struct oci_descriptor *d)
{
    own(image) struct image *i = NULL;
    own(oci_manifest) struct oci_manifest *manifest = NULL;
    if (!is_here(s->l, d))
        return NULL;
    TRY(read_manifest(s->l, d, &manifest));
    /* the manifest's whole digest will do, too: images that are packed otherwise share one ID */
    if (!str_starts(digest_hex(manifest->config->digest), s->digits) && !str_eq(digest_hex(d->digest), s->digits))
        return NULL;
    if (s->found && strcmp(s->found->id, manifest->config->digest) == 0)
        return NULL;
    if (s->found)
        return err_new(ERR_CONFLICT, "several images' IDs begin so: write more digits");
    TRY(load(s->l, d, &i));
    TRY(check_platform(i, s->platform));
    s->found = take(i);
    return NULL;
}

static fallible try_ids_of(struct id_search *s, const struct oci_descriptor *d)
{
    own(oci_index) struct oci_index *index = NULL;
    if (!media_is_index(d->media_type))
        return try_id(s, d);
    TRY(read_sub_index(s->l, d, &index));
    for (size_t i = 0; i < index->manifests_n; i++)
        TRY(try_id(s, &index->manifests[i]));
    return NULL;
}

static fallible find_by_id(struct layout *l, const struct oci_index *index, const char *digits, const char *platform,
                           struct image **ret)
{
    struct id_search s = { .l = l, .digits = digits, .platform = said(platform) };
    for (size_t i = 0; i < index->manifests_n; i++) {
        err *e = try_ids_of(&s, &index->manifests[i]);
        if (err_is(e, ERR_CORRUPT)) { /* another image's trouble must not hide this one */
            err_ignore(take(e), "reported when that image is used");
            continue;
        }
        if (e) {
            image_free(s.found);
            return e;
        }
    }
    if (!s.found)
        return err_new(ERR_NOT_FOUND, "no such image");
    *ret = s.found;
    return NULL;
}

static fallible find(struct layout *l, const struct ref *ref, const char *digits, const char *platform,
                     struct image **ret)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    if (ref) {
        err *e = find_by_name(l, index, ref, platform, ret);
        if (!err_is(e, ERR_NOT_FOUND) || !digits)
            return e;
        err_ignore(e, "it may be an ID");
    }
    return find_by_id(l, index, digits, platform, ret);
}

static fallible find_typed(struct layout *l, const char *what, const char *platform, struct image **ret)
{
    own(ref) struct ref *ref = NULL;
    const char *digits = id_digits(what);
    err *e = ref_parse(what, &ref);
    if (e && !digits)
        return e;
    err_ignore(e, "it may be an ID");
    TRY_AS(find(l, ref, digits, platform, ret), "image '%.300s'", what);
    return NULL;
}

fallible image_find(struct layout *l, const char *what, const char *platform, struct image **ret)
{
    own_mem char *wanted = NULL;
    if (platform)
        TRY(platform_parse(platform, &wanted));
    return find_typed(l, what, wanted, ret);
}

fallible image_find_here(struct layout *l, const char *what, const char *platform, struct image **ret)
{
    return platform ? image_find(l, what, platform, ret) : find_typed(l, what, here, ret);
}

fallible image_find_name(struct layout *l, const char *what, struct image **ret)
{
    return find_typed(l, what, name_alone, ret);
}

fallible image_list_of(struct layout *l, const struct oci_index *index, struct image ***ret, size_t *ret_n,
                       bool *ret_all)
{
    struct image **list = mem_array(NULL, index->manifests_n + 1, sizeof *list);
    size_t n = 0;
    bool all = true;
    for (size_t i = 0; i < index->manifests_n; i++) {
        own_mem char *name = image_name_of(&index->manifests[i]);
        struct image *image = NULL;
        own(err) err *e = image_of_descriptor(l, &index->manifests[i], &image);
        /* an artifact; a list whose images are elsewhere */
        if (err_is(e, ERR_UNSUPPORTED) ||
            (err_is(e, ERR_NOT_FOUND) && media_is_index(index->manifests[i].media_type))) {
            log_debug("'%s' is passed over: %s", name ? name : index->manifests[i].digest, err_text(e));
            continue;
        }
        if (e) {
            log_warn("image '%s' is passed over: %s", name ? name : index->manifests[i].digest, err_text(e));
            all = false;
            continue;
        }
        image->name = take(name);
        list[n++] = image;
    }
    *ret = list;
    *ret_n = n;
    if (ret_all)
        *ret_all = all;
    return NULL;
}

fallible image_list(struct layout *l, struct image ***ret, size_t *ret_n)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    return image_list_of(l, index, ret, ret_n, NULL);
}
