// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the options say of an image beside its Dockerfile: variables, labels and annotations that are taken away or
 * added last, the operating system that it asks for, the history, and the form of its documents. What is taken away is
 * so whoever set it, as with buildah. Source: buildah-build(1), podman-build(1); image-spec config.md, annotations.md.
 */
#include <string.h>

#include "build/build_parts.h"

#define DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"

/* ---- before anything is done ---- */

static bool is_on(const struct opt_bool *o, bool otherwise)
{
    return o->set ? o->v : otherwise;
}

static bool is_docker(const struct build_options *o)
{
    return o->image.format && !str_eq(o->image.format, "oci");
}

bool final_is_docker(const struct build *b)
{
    return is_docker(b->o);
}

/* A word that says nothing would be taken for nothing. */
static fallible check_words(const char *option, const struct strv *words, const char *expected)
{
    for (size_t i = 0; i < words->n; i++)
        if (strchr("=", words->items[i][0])) /* or its end */
            return err_new(ERR_INVALID, "%s '%s': expected %s", option, words->items[i], expected);
    return NULL;
}

fallible final_check(const struct build_options *o)
{
    const struct build_image_options *i = &o->image;
    TRY(check_words("--label", &o->labels, "KEY[=VALUE]"));
    TRY(check_words("--env", &i->env, "NAME[=VALUE]"));
    TRY(check_words("--unsetenv", &i->unset_env, "NAME"));
    TRY(check_words("--unsetlabel", &i->unset_labels, "KEY"));
    TRY(check_words("--unsetannotation", &i->unset_annotations, "KEY"));
    TRY(check_words("--os-feature", &i->os_features, "FEATURE or FEATURE-"));
    if (i->identity_label.set && i->identity_label.v)
        return err_new(ERR_UNSUPPORTED, "--identity-label: husk writes no label with its own version, which would make "
                                        "other bytes of the same input: give one with --label");
    if (i->rewrite_timestamp.set && !i->rewrite_timestamp.v)
        return err_new(ERR_UNSUPPORTED, "--rewrite-timestamp=false: no file of a layer is ever younger than its input");
    if (!is_docker(o))
        return NULL;
    if (o->annotations.n || is_on(&i->created_annotation, false))
        return err_new(ERR_INVALID,
                       "--format docker: its manifest has no annotations: leave --%s out, or use "
                       "--format oci",
                       o->annotations.n ? "annotation" : "created-annotation");
    if (o->provenance || o->sbom || o->attests.n)
        return err_new(ERR_INVALID, "--format docker: statements of --provenance and --sbom lie in an OCI index: use "
                                    "--format oci");
    return NULL;
}

/* ---- the config ---- */

static void unset_env(const struct strv *names, struct strv *env)
{
    struct strv kept = { 0 };
    for (size_t i = 0; i < env->n; i++) {
        own_mem char *name = mem_strndup(env->items[i], strcspn(env->items[i], "="));
        if (!strv_has(names, name))
            strv_add(&kept, env->items[i]);
    }
    strv_free(env);
    *env = kept;
}

static void labels(const struct build *b, struct oci_image_run *run)
{
    for (size_t i = 0; i < b->o->labels.n; i++) {
        const char *text = b->o->labels.items[i];
        own_mem char *key = mem_strndup(text, strcspn(text, "="));
        strmap_set(&run->labels, key, text[strlen(key)] ? text + strlen(key) + 1 : "");
    }
    for (size_t i = 0; i < b->o->image.unset_labels.n; i++)
        strmap_unset(&run->labels, b->o->image.unset_labels.items[i]);
}

static void without(struct strv *list, const char *word)
{
    own_strv struct strv before = *list;
    *list = (struct strv){ 0 };
    for (size_t i = 0; i < before.n; i++)
        if (strcmp(before.items[i], word) != 0)
            strv_add(list, before.items[i]);
}

/* What the base image asks for, and ours; "NAME-" takes one away. */
static void features_of(const struct build *b, const struct oci_image_config *c, struct strv *ret)
{
    json_t *value;
    size_t i;
    json_array_foreach (json_object_get(c->rest, "os.features"), i, value)
        if (json_is_string(value))
            strv_add(ret, json_string_value(value));
    for (i = 0; i < b->o->image.os_features.n; i++) {
        const char *word = b->o->image.os_features.items[i];
        bool away = str_ends(word, "-");
        own_mem char *name = mem_strndup(word, strlen(word) - away);
        without(ret, name);
        if (!away)
            strv_add(ret, name);
    }
}

static void os_features(const struct build *b, struct oci_image_config *c)
{
    own_strv struct strv all = { 0 };
    features_of(b, c, &all);
    json_t *list = json_array();
    for (size_t i = 0; i < all.n; i++)
        json_array_append_new(list, json_string(all.items[i]));
    if (!c->rest)
        c->rest = json_object();
    json_object_set_new(c->rest, "os.features", list);
    if (!all.n)
        json_object_del(c->rest, "os.features");
}

static void no_history(struct oci_image_config *c)
{
    for (size_t i = 0; i < c->history_n; i++) {
        free(c->history[i].created);
        free(c->history[i].author);
        free(c->history[i].created_by);
        free(c->history[i].comment);
    }
    free(c->history);
    c->history = NULL;
    c->history_n = 0;
}

void final_config(const struct build *b, struct oci_image_config *c)
{
    const struct build_image_options *i = &b->o->image;
    labels(b, c->config);
    if (i->unset_env.n)
        unset_env(&i->unset_env, &c->config->env);
    if (i->os_version) {
        free(c->os_version);
        c->os_version = mem_strdup(i->os_version);
    }
    if (i->os_features.n)
        os_features(b, c);
    if (i->omit_history)
        no_history(c);
}

/* ---- the manifest and its index ---- */

const char *final_type(const struct build *b, const char *oci)
{
    static const char *const same[][2] = { { MEDIA_OCI_INDEX, MEDIA_DOCKER_LIST },
                                           { MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST },
                                           { MEDIA_OCI_CONFIG, MEDIA_DOCKER_CONFIG },
                                           { MEDIA_OCI_LAYER, DOCKER_LAYER },
                                           { MEDIA_OCI_LAYER_GZIP, MEDIA_DOCKER_LAYER_GZIP } };
    for (size_t i = 0; final_is_docker(b) && i < ARRAY_SIZE(same); i++)
        if (strcmp(same[i][0], oci) == 0)
            return same[i][1];
    return oci;
}

static void set_type(const struct build *b, char **type)
{
    char *to = mem_strdup(final_type(b, *type));
    free(*type);
    *type = to;
}

static void annotations(const struct build *b, const struct build_state *s, struct strmap *to)
{
    const struct build_image_options *i = &b->o->image;
    char buf[40];
    for (size_t k = 0; is_on(&i->inherit_annotations, true) && k < s->annotations.n; k++)
        strmap_set(to, s->annotations.items[k].key, s->annotations.items[k].value);
    if (is_on(&i->created_annotation, false))
        strmap_set(to, "org.opencontainers.image.created", build_time(build_newest(b, s), buf));
    annotation_add(b, ANNOTATION_MANIFEST, b->platform, to);
    for (size_t k = 0; k < i->unset_annotations.n; k++)
        strmap_unset(to, i->unset_annotations.items[k]);
}

void final_manifest(const struct build *b, const struct build_state *s, struct oci_manifest *m)
{
    if (!final_is_docker(b))
        annotations(b, s, &m->annotations);
    set_type(b, &m->media_type);
    set_type(b, &m->config->media_type);
    for (size_t i = 0; i < m->layers_n; i++)
        set_type(b, &m->layers[i].media_type);
}

void final_platform(const struct build *b, const struct oci_image_config *c, struct oci_platform *p)
{
    p->os_version = mem_strdup(b->o->image.os_version ? b->o->image.os_version : c->os_version);
    features_of(b, c, &p->os_features);
}
