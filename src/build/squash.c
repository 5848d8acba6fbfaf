// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --squash: the layers that this build made become one, over those of the base image; --squash-all: those of the base,
 * too. The history stays, with one more entry that has the layer. Source: docker build --squash; podman build.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "build/build_parts.h"
#include "engine/lowers.h"
#include "layers/flatten.h"

static fallible merge(struct build *b, const struct build_state *s, size_t first, struct build_layer *ret)
{
    own_strv struct strv base = { 0 }, ids = { 0 }, below = { 0 }, lowers = { 0 };
    own_mem char *dir = mem_printf("tmp/%s/squash-%zu", b->dir_name, b->squashed++);
    own_mem char *path = mem_printf("%s/%s", b->layout->path, dir), *upper = mem_printf("%s/upper", path);
    for (size_t i = 0; i < s->layers_n; i++)
        strv_add(i < first ? &base : &ids, s->layers[i].diff_id);
    TRY(lowers_of(b->engine, &base, &below));
    TRY(lowers_of(b->engine, &ids, &lowers));
    if (mkdir(path, 0700) < 0 || mkdir(upper, 0755) < 0)
        return err_sys(errno, "make '%s'", upper);
    TRY(first ? flatten_over(&lowers, &below, upper) : flatten(&lowers, upper));
    struct layer_input in = {
        .dir = dir,
        .newest_s = build_newest(b, s),
        .all_at_once = b->o->image.timestamp.set,
        .secrets = b->secrets,
        .secrets_n = b->secrets_n,
    };
    return build_layer_make(b->layout, &in, ret);
}

/* From the layer of this number on: the history's entries have no layer of their own any more. */
static void forget_layers(struct build_state *s, size_t first)
{
    struct oci_image_config *c = s->config;
    size_t layer = 0;
    for (size_t i = 0; i < c->history_n; i++)
        if (!c->history[i].empty_layer && layer++ >= first)
            c->history[i].empty_layer = true;
    for (size_t i = first; i < s->layers_n; i++)
        build_layer_clear(&s->layers[i]);
    s->layers_n = first;
    for (size_t i = first; i < c->rootfs->diff_ids.n; i++)
        free(c->rootfs->diff_ids.items[i]);
    c->rootfs->diff_ids.n = first;
}

static fallible squash_from(struct build *b, struct build_state *s, size_t first, const char *option)
{
    own(build_layer) struct build_layer layer = { 0 };
    size_t n = s->layers_n - first;
    if (n < 2)
        return NULL;
    TRY_AS(merge(b, s, first, &layer), "%s", option);
    own_mem char *text = mem_printf("husk build %s: %zu layers", option, n);
    forget_layers(s, first);
    build_state_add(s, &layer, text, build_newest(b, s));
    return NULL;
}

fallible build_squash(struct build *b, struct build_state *s)
{
    size_t first = 0;
    while (!b->o->squash_all && first < s->layers_n && s->layers[first].tar_size == 0)
        first++;
    return squash_from(b, s, first, b->o->squash_all ? "--squash-all" : "--squash");
}

fallible build_squash_stage(struct build *b, struct stage_run *r)
{
    return squash_from(b, r->state, r->first_layer, "--layers=false");
}
