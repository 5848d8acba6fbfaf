/*
 * husk manifest: what a name stands for, as the document itself; lists of several platforms: see also
 * image_manifest_edit.c and image_manifest_push.c.
 * Compatible with: docker manifest inspect and rm, podman manifest inspect, exists and rm.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/image_common.h"
#include "cli/image_manifest.h"
#include "cli/image_remote.h"
#include "image/auth.h"
#include "transport/list.h"

struct manifest_opts {
    bool insecure, ignore, verbose;
    struct remote_opts remote;
};

#define T struct manifest_opts
static const struct opt inspect_rows[] = {
    OPT_FLAG(0, "insecure", T, insecure, "The same as --tls-verify=false"),
    OPT_FLAG('v', "verbose", T, verbose, "Each manifest with its descriptor, as docker prints it"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt no_rows[] = { OPT_END };
static const struct opt rm_rows[] = {
    OPT_FLAG('i', "ignore", T, ignore, "A name that nobody has is no error"),
    OPT_END,
};
#undef T

/* ---- --verbose ---- */

enum { CONFIG_MAX = 4 << 20 };

static json_t *platform_json(const struct oci_platform *p)
{
    json_t *doc = json_object();
    const struct {
        const char *key, *value;
    } words[] = {
        { "architecture", p->architecture }, { "os", p->os }, { "os.version", p->os_version }, { "variant", p->variant }
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i].value)
            json_object_set_new(doc, words[i].key, json_string(words[i].value));
    for (size_t i = 0; i < p->os_features.n; i++) {
        json_t *list = json_object_get(doc, "os.features");
        if (!list)
            json_object_set_new(doc, "os.features", list = json_array());
        json_array_append_new(list, json_string(p->os_features.items[i]));
    }
    return doc;
}

/* An image without an index says in its config what it is for. */
static fallible platform_of_config(struct source *from, const struct oci_manifest *m, json_t **ret)
{
    own(oci_image_config) struct oci_image_config *c = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    if (!oci_manifest_is_image(m))
        return NULL;
    TRY_AS(source_read_blob(from, m->config, CONFIG_MAX, &text, &len), "config %.19s", m->config->digest);
    TRY_AS(oci_image_config_read(text, len, &c), "config %.19s", m->config->digest);
    *ret = platform_json(&(struct oci_platform){ .os = c->os, .architecture = c->architecture, .variant = c->variant });
    return NULL;
}

/* Of one manifest. d: its entry in an index, or NULL. */
static fallible verbose_one(struct source *from, const char *ref, const struct registry_manifest *doc,
                            const struct oci_descriptor *d, json_t **ret)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own_json json_t *tree = NULL, *platform = NULL;
    TRY(oci_manifest_read(doc->text, doc->len, &m));
    TRY(json_parse("manifest", doc->text, doc->len, &tree));
    if (d && d->platform)
        platform = platform_json(d->platform);
    else if (!d)
        TRY(platform_of_config(from, m, &platform));
    own_mem char *raw = base64_encode(doc->text, doc->len);
    json_t *descriptor =
        json_pack("{s:s, s:s, s:I}", "mediaType", doc->media_type, "digest", doc->digest, "size", (json_int_t)doc->len);
    if (platform)
        json_object_set(descriptor, "platform", platform);
    bool docker = str_eq(doc->media_type, MEDIA_DOCKER_MANIFEST);
    *ret = json_pack("{s:s, s:o, s:s, s:O}", "Ref", ref, "Descriptor", descriptor, "Raw", raw,
                     docker ? "SchemaV2Manifest" : "OCIManifest", tree);
    return *ret ? NULL : err_new(ERR_CORRUPT, "manifest %s is not UTF-8", doc->digest);
}

static fallible verbose(struct source *from, const char *name, const struct registry_manifest *doc, json_t **ret)
{
    own(oci_index) struct oci_index *index = NULL;
    own_json json_t *list = json_array();
    if (!media_is_index(doc->media_type))
        return verbose_one(from, name, doc, NULL, ret);
    TRY(oci_index_read(doc->text, doc->len, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        own(registry_manifest) struct registry_manifest *part = NULL;
        json_t *one = NULL;
        own_mem char *ref = mem_printf("%s@%s", name, index->manifests[i].digest);
        if (!media_is_manifest(index->manifests[i].media_type))
            continue;
        TRY(from->ops->get(from, index->manifests[i].digest, &part));
        TRY(verbose_one(from, ref, part, &index->manifests[i], &one));
        json_array_append_new(list, one);
    }
    *ret = take(list);
    return NULL;
}

/* What is to be shown of a document: all that is needed of its place. */
struct shown {
    bool verbose;
    json_t *tree;
};
static fallible show(struct shown *s, struct source *from, const char *name, const struct registry_manifest *doc)
{
    if (!s)
        return NULL;
    return s->verbose ? verbose(from, name, doc, &s->tree) : json_parse("manifest", doc->text, doc->len, &s->tree);
}

/* By full name: a word that is also the beginning of an ID means the name here. NOT_FOUND: nor is there a store. */
static fallible find_here(const char *full_name, struct shown *shown, struct registry_manifest **ret)
{
    own(image_session) struct image_session *s = NULL;
    own(source) struct source *from = NULL;
    own(ref) struct ref *ref = NULL;
    own(registry_manifest) struct registry_manifest *doc = NULL;
    TRY(ref_parse(full_name, &ref));
    TRY(image_session_open_reading(&s));
    TRY(source_store(s->store, full_name, &from));
    TRY(from->ops->get(from, ref->digest, &doc)); /* an index's digest means the index, not a platform of it */
    TRY(show(shown, from, full_name, doc));
    *ret = take(doc);
    return NULL;
}

static fallible find_any_here(const struct strv *names, struct shown *shown, struct registry_manifest **ret)
{
    for (size_t i = 0; i < names->n; i++) {
        err *e = find_here(names->items[i], shown, ret);
        if (!err_is(e, ERR_NOT_FOUND))
            return e;
        err_ignore(e, "perhaps under the next name");
    }
    return NULL;
}

struct places {
    struct ref **refs;
    struct remote **remotes;
    size_t n;
};
static inline void own_drop_places(struct places *p)
{
    for (size_t i = 0; i < p->n; i++) {
        ref_free(p->refs[i]);
        remote_free(p->remotes[i]);
    }
    free(p->refs);
    free(p->remotes);
}

/* Credentials of all of them are read before the program confines itself. */
static fallible prepare(const struct remote_opts *o, const struct strv *names, struct places *p)
{
    p->refs = mem_zalloc(names->n * sizeof(struct ref *));
    p->remotes = mem_zalloc(names->n * sizeof(struct remote *));
    p->n = names->n;
    for (size_t i = 0; i < names->n; i++) {
        TRY(ref_parse(names->items[i], &p->refs[i]));
        TRY(remote_prepare(o, p->refs[i], REGISTRY_PULL, &p->remotes[i]));
    }
    return NULL;
}

static fallible ask(const struct ref *ref, const struct remote *remote, struct shown *shown)
{
    own(source) struct source *from = NULL;
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own_mem char *name = ref_full(ref);
    TRY(source_registry(ref, &remote->options, &from));
    TRY(from->ops->get(from, NULL, &doc));
    return show(shown, from, name, doc);
}

static fallible ask_registries(const struct remote_opts *o, const struct strv *names, struct shown *shown)
{
    own(places) struct places places = { .n = 0 };
    TRY(prepare(o, names, &places));
    TRY(image_confine(NULL, -1));
    for (size_t i = 0;; i++) {
        err *e = ask(places.refs[i], places.remotes[i], shown);
        if (!err_is(e, ERR_NOT_FOUND) || i + 1 == places.n)
            return e;
        err_ignore(e, "perhaps the next registry has it");
    }
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct manifest_opts *o = opts_;
    struct remote_opts remote = o->remote;
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own_strv struct strv names = { 0 };
    struct shown shown = { .verbose = o->verbose };
    if (o->insecure)
        remote.tls_verify = "false";
    TRY(remote_resolve(args.v[0], &names));
    TRY(find_any_here(&names, &shown, &doc));
    if (!doc)
        TRY_AS(ask_registries(&remote, &names, &shown), "manifest of '%s'", args.v[0]);
    own_json json_t *tree = shown.tree;
    own_mem char *text = json_text(tree, BIND_INDENTED);
    printf("%s\n", text);
    return NULL;
}

static fallible exists_run(const void *opts, struct args args)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own_strv struct strv names = { 0 };
    TRY(remote_resolve(args.v[0], &names));
    TRY(find_any_here(&names, NULL, &doc));
    return doc && media_is_index(doc->media_type) ? NULL : err_exit(1);
}

struct removing {
    struct image_session *session;
    bool ignore;
};

/* The images that it names are left alone: each is there by a name of its own, or goes with the next prune. */
static err *remove_one(const char *name, void *ctx)
{
    const struct removing *r = ctx;
    own(list) struct list *list = NULL;
    own_mem char *full = NULL;
    TRY(list_full_name(name, &full));
    err *e = list_read(r->session->store, full, &list);
    if (r->ignore && err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "--ignore");
        return NULL;
    }
    TRY(e);
    TRY(layout_remove_name(r->session->store, full));
    printf("%s\n", full);
    return NULL;
}

static fallible rm_run(const void *opts_, struct args args)
{
    const struct manifest_opts *o = opts_;
    own(image_session) struct image_session *s = NULL;
    TRY(image_session_open(&s));
    struct removing r = { s, o->ignore };
    return command_each("husk manifest rm", args, remove_one, &r);
}

static const struct command rm_command = {
    .name = "rm",
    .args = "LIST...",
    .summary = "Remove lists from the store",
    .detail = "Only the lists: an image that another name has stays, any other goes with the next `husk image prune`.",
    .opts = rm_rows,
    .opts_size = sizeof(struct manifest_opts),
    .min_args = 1,
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = rm_run,
};
static const struct command inspect_command = {
    .name = "inspect",
    .args = "NAME",
    .summary = "Show the index or the manifest that a name stands for",
    .detail = "The store's, or when the name is not there the registry's, of which nothing else is fetched.\n"
              "\n" REMOTE_DETAIL,
    .opts = inspect_rows,
    .opts_size = sizeof(struct manifest_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = inspect_run,
};
static const struct command exists_command = {
    .name = "exists",
    .args = "NAME",
    .summary = "Is there an index of this name in the store? The exit status is 0 or 1",
    .opts = no_rows,
    .opts_size = sizeof(struct manifest_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 125,
    .run = exists_run,
};
static const struct command *const manifest_commands[] = {
    // clang-format off
    &cmd_manifest_add,
    &cmd_manifest_annotate,
    &cmd_manifest_create,
    &exists_command,
    &inspect_command,
    &cmd_manifest_push,
    &cmd_manifest_remove,
    &rm_command,
    // clang-format on
    NULL,
};

const struct command cmd_manifest = {
    .name = "manifest",
    .args = "COMMAND",
    .summary = "Make, change and look at indexes of several platforms",
    .sub = manifest_commands,
};
