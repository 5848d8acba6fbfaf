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
#include "transport/list.h"

struct manifest_opts {
    bool insecure, ignore;
    struct remote_opts remote;
};

#define T struct manifest_opts
static const struct opt inspect_rows[] = {
    OPT_FLAG(0, "insecure", T, insecure, "The same as --tls-verify=false"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt no_rows[] = { OPT_END };
static const struct opt rm_rows[] = {
    OPT_FLAG('i', "ignore", T, ignore, "A name that nobody has is no error"),
    OPT_END,
};
#undef T

/* By full name: a word that is also the beginning of an ID means the name here. NOT_FOUND: nor is there a store. */
static fallible find_here(const char *full_name, struct registry_manifest **ret)
{
    own(image_session) struct image_session *s = NULL;
    own(source) struct source *from = NULL;
    own(ref) struct ref *ref = NULL;
    TRY(ref_parse(full_name, &ref));
    TRY(image_session_open_reading(&s));
    TRY(source_store(s->store, full_name, &from));
    return from->ops->get(from, ref->digest, ret); /* an index's digest means the index, not a platform of it */
}

static fallible find_any_here(const struct strv *names, struct registry_manifest **ret)
{
    for (size_t i = 0; i < names->n; i++) {
        err *e = find_here(names->items[i], ret);
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

static fallible ask(const struct ref *ref, const struct remote *remote, struct registry_manifest **ret)
{
    own(source) struct source *from = NULL;
    TRY(source_registry(ref, &remote->options, &from));
    return from->ops->get(from, NULL, ret);
}

static fallible ask_registries(const struct remote_opts *o, const struct strv *names, struct registry_manifest **ret)
{
    own(places) struct places places = { .n = 0 };
    TRY(prepare(o, names, &places));
    TRY(image_confine(NULL, -1));
    for (size_t i = 0;; i++) {
        err *e = ask(places.refs[i], places.remotes[i], ret);
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
    own_json json_t *tree = NULL;
    if (o->insecure)
        remote.tls_verify = "false";
    TRY(remote_resolve(args.v[0], &names));
    TRY(find_any_here(&names, &doc));
    if (!doc)
        TRY_AS(ask_registries(&remote, &names, &doc), "manifest of '%s'", args.v[0]);
    TRY(json_parse("manifest", doc->text, doc->len, &tree));
    own_mem char *text = json_text(tree, BIND_INDENTED);
    printf("%s\n", text);
    return NULL;
}

static fallible exists_run(const void *opts, struct args args)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own_strv struct strv names = { 0 };
    TRY(remote_resolve(args.v[0], &names));
    TRY(find_any_here(&names, &doc));
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
