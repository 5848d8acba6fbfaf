// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FROM: what a stage begins with.
 */
#include <string.h>

#include "build/build_parts.h"
#include "engine/container.h"
#include "layers/layer.h"

/* For --provenance: each once. */
static void note_material(struct build *b, const struct image *image)
{
    struct strv *m = &b->attest.materials;
    const struct oci_image_config *c = image->config;
    for (size_t i = 0; i + 2 < m->n; i += 3)
        if (strcmp(m->items[i + 1], image->manifest_digest) == 0)
            return;
    strv_add(m, image->name ? image->name : image->id);
    strv_add(m, image->manifest_digest);
    strv_add_printf(m, "%s/%s", c->os ? c->os : "linux", c->architecture ? c->architecture : "unknown");
}

struct image_wish build_image_wish(const struct build *b, const char *name, const char *platform)
{
    return (struct image_wish){
        .name = name,
        .platform = platform ? platform : build_wanted_platform(b),
        .pull = b->o->pull_policy ? b->o->pull_policy
                : b->o->pull      ? "always"
                                  : "missing",
        .quiet = true,
        .authfile = b->o->create.authfile,
        .cert_dir = b->o->create.cert_dir,
        .creds = b->o->create.creds,
        .tls_verify = b->o->create.tls_verify,
        .retry = b->o->create.retry,
        .retry_delay = b->o->create.retry_delay,
    };
}

fallible build_find_image(struct build *b, const char *name, const char *platform, struct image **ret)
{
    own(image) struct image *image = NULL;
    own_fd int lock = -1;
    TRY(context_image(b, name, &name));
    struct image_wish wish = build_image_wish(b, name, platform);
    bool newer = strcmp(wish.pull, "newer") == 0;
    if (newer)
        wish.pull = "always";
    if (base_is_fetched(b, name, wish.platform))
        wish.pull = "missing";
    err *e = image_for_container(b->engine, &wish, &image, &lock);
    if (e && newer) { /* a registry that does not answer is no reason not to use what is here */
        err_ignore(e, "what is here is used");
        wish.pull = "never";
        e = image_for_container(b->engine, &wish, &image, &lock);
    }
    TRY(e);
    for (size_t i = 0; i < image->config->rootfs->diff_ids.n; i++)
        if (!layer_use(b->layout, image->config->rootfs->diff_ids.items[i]))
            return err_new(ERR_NOT_FOUND, "image '%s': a layer is missing: `husk pull` it again", name);
    for (size_t i = 0; i < image->manifest->layers_n; i++)
        (void)layout_use_blob(b->layout, image->manifest->layers[i].digest, -1);
    note_material(b, image);
    *ret = take(image);
    return NULL;
}

static fallible add_triggers(struct build *b, size_t index)
{
    struct stage_run *r = &b->runs[index];
    struct strv *list = &r->state->config->config->on_build;
    for (size_t i = 0; i < list->n; i++) {
        struct dockerfile *f = NULL;
        own_mem char *name = mem_printf("ONBUILD of its base, %zu", i + 1);
        TRY(dockerfile_parse_one(list->items[i], name, &f));
        r->triggers = mem_array(r->triggers, r->triggers_n + 1, sizeof *r->triggers);
        r->triggers[r->triggers_n++] = f;
        TRY(stages_add_needs(b->stages, index, name, &f->items[0]));
    }
    strv_free(list);
    return NULL;
}

/* A directory as a base: its files are the first thing that is done. */
static fallible add_tree(struct stage_run *r, const char *name)
{
    struct dockerfile *f = NULL;
    own_mem char *text = mem_printf("COPY --from=%s / /", name);
    TRY(dockerfile_parse_one(text, "FROM", &f));
    r->triggers = mem_array(r->triggers, r->triggers_n + 1, sizeof *r->triggers);
    r->triggers[r->triggers_n++] = f;
    return NULL;
}

static void list_items(const struct build *b, const struct stage *s, struct stage_run *r)
{
    r->items = mem_array(NULL, r->triggers_n + (s->end - s->first) + 1, sizeof *r->items);
    for (size_t i = 0; i < r->triggers_n; i++)
        r->items[r->n++] = &r->triggers[i]->items[0];
    for (size_t i = s->first; i < s->end; i++)
        r->items[r->n++] = &b->file->items[i];
}

/* The variables that a new image has anyway. */
static void default_env(struct build_state *s)
{
    if (!strv_getenv(&s->config->config->env, "PATH"))
        strv_setenv(&s->config->config->env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

/* --env: as an ENV behind each FROM of an image would do. A stage has it from there. */
static void given_env(const struct build *b, struct build_state *s)
{
    for (size_t i = 0; i < b->o->image.env.n; i++) {
        const char *text = b->o->image.env.items[i], *equals = strchr(text, '=');
        const char *ours = equals ? NULL : getenv(text);
        own_mem char *pair = ours ? mem_printf("%s=%s", text, ours) : NULL;
        if (equals || pair)
            strv_setenv(&s->config->config->env, equals ? text : pair);
    }
}

static fallible check_platform(struct build *b, const struct stage *s, const struct image *image)
{
    const char *want = s->platform ? s->platform : build_wanted_platform(b);
    const struct oci_image_config *c = image->config;
    if (want || !c->architecture || !c->os)
        return NULL;
    own_mem char *have = mem_printf("%s/%s", c->os, c->architecture);
    if (strncmp(platform_of_host(), have, strlen(have)) != 0) {
        build_warn(b, s->from->place, "InvalidBaseImagePlatform", "image '%s' is for %s, and this machine is %s",
                   s->image, have, platform_of_host());
    }
    return NULL;
}

fallible build_from(struct build *b, size_t index)
{
    const struct stage *s = &b->stages->items[index];
    struct stage_run *r = &b->runs[index];
    struct build_context *tree = NULL;
    if (s->base_kind == BASE_IMAGE)
        TRY(context_named(b, s->image, &tree));
    if (s->base_kind == BASE_STAGE) {
        TRY(build_state_copy(b->runs[s->base].state, &r->state));
    } else if (tree || s->base_kind == BASE_SCRATCH) {
        r->state = build_state_scratch(s->platform ? s->platform : b->platform);
    } else {
        own(image) struct image *image = NULL;
        TRY(build_find_image(b, s->image, s->platform, &image));
        TRY(check_platform(b, s, image));
        TRY(build_state_of_image(image, &r->state));
    }
    if (s->base_kind != BASE_STAGE) {
        default_env(r->state);
        given_env(b, r->state);
    }
    if (b->o->image.inherit_labels.set && !b->o->image.inherit_labels.v)
        strmap_free(&r->state->config->config->labels);
    r->first_layer = r->state->layers_n;
    TRY(tree ? add_tree(r, s->image) : add_triggers(b, index));
    list_items(b, s, r);
    return NULL;
}
