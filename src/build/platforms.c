// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --all-platforms: those for which all the base images are there that the target needs, as their indexes say.
 * Source: buildah-build(1).
 */
#include <string.h>

#include "base/log.h"
#include "build/build_parts.h"
#include "os/proc.h"

enum { INSPECT_MAX = 16 << 20, ARGS_MAX = 20 };

size_t build_registry_words(const struct build *b, const char **argv)
{
    const struct create_options *c = &b->o->create;
    const char *const options[][2] = { { "--authfile", c->authfile },
                                       { "--cert-dir", c->cert_dir },
                                       { "--tls-verify", c->tls_verify },
                                       { "--retry", c->retry },
                                       { "--retry-delay", c->retry_delay } };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (options[i][1]) {
            argv[n++] = options[i][0];
            argv[n++] = options[i][1];
        }
    return n;
}

/* What an image is, of each platform: the store's, or the registry's of which nothing else is fetched. */
static fallible inspect(const struct build *b, const char *name, json_t **ret)
{
    own_mem char *program = NULL, *text = NULL;
    const char *argv[ARGS_MAX] = { NULL, "manifest", "inspect", "--verbose" };
    size_t n = 4;
    TRY(self_find_program("husk-image", &program));
    argv[0] = program;
    n += build_registry_words(b, argv + n);
    argv[n] = name;
    TRY(spawn_output((char *const *)argv, INSPECT_MAX, &text));
    return json_parse("what husk-image says", text, strlen(text), ret);
}

/* "os/architecture[/variant]" of one; statements about images are for none. */
static fallible add(json_t *one, struct strv *ret)
{
    json_t *p = json_object_get(json_object_get(one, "Descriptor"), "platform");
    const char *os = json_string_value(json_object_get(p, "os"));
    const char *arch = json_string_value(json_object_get(p, "architecture"));
    const char *variant = json_string_value(json_object_get(p, "variant"));
    own_mem char *word = NULL;
    if (!os || !arch || strcmp(os, "unknown") == 0 || strcmp(arch, "unknown") == 0)
        return NULL;
    own_mem char *text = mem_printf("%s/%s%s%s", os, arch, variant ? "/" : "", variant ? variant : "");
    TRY(platform_parse(text, &word));
    if (!strv_has(ret, word))
        strv_add(ret, word);
    return NULL;
}

static fallible platforms_of(const struct build *b, const char *name, struct strv *ret)
{
    own_json json_t *said = NULL;
    TRY(inspect(b, name, &said));
    if (json_is_object(said))
        return add(said, ret);
    for (size_t i = 0; i < json_array_size(said); i++)
        TRY(add(json_array_get(said, i), ret));
    return NULL;
}

static void keep_common(struct strv *all, const struct strv *theirs)
{
    own_strv struct strv before = *all;
    *all = (struct strv){ 0 };
    for (size_t i = 0; i < before.n; i++)
        if (strv_has(theirs, before.items[i]))
            strv_add(all, before.items[i]);
}

/* A stage that says --platform itself is the same for all. */
static fallible of_stages(struct build *b, const struct stages *s, struct strv *ret)
{
    bool any = false;
    for (size_t i = 0; i < s->n; i++) {
        const struct stage *stage = &s->items[i];
        own_strv struct strv theirs = { 0 };
        const char *name = stage->image;
        if (!stage->used || stage->base_kind != BASE_IMAGE || stage->platform)
            continue;
        TRY(context_image(b, name, &name));
        TRY_AS(platforms_of(b, name, &theirs), "--all-platforms: image '%s'", name);
        if (any)
            keep_common(ret, &theirs);
        else
            strv_copy(ret, theirs.items, theirs.n);
        any = true;
    }
    if (!any)
        return err_new(ERR_INVALID, "--all-platforms: no stage that is needed stands on an image: name the platforms "
                                    "with --platform");
    return ret->n ? NULL : err_new(ERR_NOT_FOUND, "--all-platforms: the base images have no platform in common");
}

fallible build_all_platforms(struct build *b, const struct stages_input *in)
{
    own(stages) struct stages *s = NULL;
    TRY(stages_of(b->file, in, &s));
    return of_stages(b, s, &b->platforms);
}
