// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/state.h"

#include <string.h>

#include "base/parse.h"
#include "codec/digest.h"

void build_layer_clear(struct build_layer *l)
{
    free(l->diff_id);
    free(l->digest);
    free(l->media_type);
    *l = (struct build_layer){ 0 };
}

void build_state_free(struct build_state *s)
{
    if (!s)
        return;
    oci_image_config_free(s->config);
    for (size_t i = 0; i < s->layers_n; i++)
        build_layer_clear(&s->layers[i]);
    free(s->layers);
    strv_free(&s->args);
    strv_free(&s->unset_args);
    strmap_free(&s->annotations);
    free(s->base_name);
    free(s->base_digest);
    free(s);
}

static void complete(struct oci_image_config *c)
{
    if (!c->config)
        c->config = mem_zalloc(sizeof *c->config);
    if (!c->rootfs)
        c->rootfs = mem_zalloc(sizeof *c->rootfs);
    if (!c->rootfs->type)
        c->rootfs->type = mem_strdup("layers");
}

struct build_state *build_state_scratch(const char *platform)
{
    struct build_state *s = mem_zalloc(sizeof *s);
    own_strv struct strv parts = { 0 };
    strv_split(&parts, platform, '/');
    s->config = mem_zalloc(sizeof *s->config);
    s->config->os = mem_strdup(parts.n > 0 ? parts.items[0] : "linux");
    s->config->architecture = mem_strdup(parts.n > 1 ? parts.items[1] : "amd64");
    s->config->variant = mem_strdup(parts.n > 2 ? parts.items[2] : NULL);
    complete(s->config);
    return s;
}

static struct build_layer copy_layer(const struct build_layer *l)
{
    return (struct build_layer){
        mem_strdup(l->diff_id), mem_strdup(l->digest), mem_strdup(l->media_type), l->size, l->tar_size, l->empty
    };
}

static void add_layer(struct build_state *s, struct build_layer take_layer)
{
    s->layers = mem_array(s->layers, s->layers_n + 1, sizeof *s->layers);
    s->layers[s->layers_n++] = take_layer;
}

static void copy_annotations(struct build_state *s, const struct strmap *from)
{
    for (size_t i = 0; i < from->n; i++)
        strmap_set(&s->annotations, from->items[i].key, from->items[i].value);
}

fallible build_state_of_image(const struct image *image, struct build_state **ret)
{
    own(build_state) struct build_state *s = mem_zalloc(sizeof *s);
    int64_t created_ns = 0;
    TRY(oci_image_config_read(image->config_text, strlen(image->config_text), &s->config));
    complete(s->config);
    if (s->config->rootfs->diff_ids.n != image->manifest->layers_n)
        return err_new(ERR_CORRUPT, "image '%s' has %zu layers and names %zu", image->name ? image->name : image->id,
                       image->manifest->layers_n, s->config->rootfs->diff_ids.n);
    for (size_t i = 0; i < image->manifest->layers_n; i++) {
        const struct oci_descriptor *d = &image->manifest->layers[i];
        const char *type = d->media_type;
        if (str_eq(type, MEDIA_DOCKER_LAYER_GZIP)) /* the same bytes by the OCI's name */
            type = MEDIA_OCI_LAYER_GZIP;
        add_layer(s, (struct build_layer){ .diff_id = mem_strdup(s->config->rootfs->diff_ids.items[i]),
                                           .digest = mem_strdup(d->digest),
                                           .media_type = mem_strdup(type),
                                           .size = d->size });
    }
    copy_annotations(s, &image->manifest->annotations);
    if (s->config->created)
        err_ignore(parse_time_ns(s->config->created, &created_ns), "then it is as old as can be");
    s->newest_s = created_ns / 1000000000;
    s->base_name = mem_strdup(image->name);
    s->base_digest = mem_strdup(image->manifest_digest);
    *ret = take(s);
    return NULL;
}

fallible build_state_copy(const struct build_state *from, struct build_state **ret)
{
    own(build_state) struct build_state *s = mem_zalloc(sizeof *s);
    own_mem char *text = bind_write(&oci_image_config_type, from->config, BIND_COMPACT);
    TRY(oci_image_config_read(text, strlen(text), &s->config));
    complete(s->config);
    for (size_t i = 0; i < from->layers_n; i++)
        add_layer(s, copy_layer(&from->layers[i]));
    copy_annotations(s, &from->annotations);
    s->newest_s = from->newest_s;
    s->base_name = mem_strdup(from->base_name);
    s->base_digest = mem_strdup(from->base_digest);
    *ret = take(s);
    return NULL;
}

const char *build_time(int64_t s, char buf[40])
{
    return format_time_ns(s * 1000000000, buf);
}

void build_state_add(struct build_state *s, const struct build_layer *layer, const char *created_by, int64_t time_s)
{
    struct oci_image_config *c = s->config;
    char buf[40];
    bool empty = !layer || layer->empty;
    if (!empty) {
        add_layer(s, copy_layer(layer));
        strv_add(&c->rootfs->diff_ids, layer->diff_id);
    }
    c->history = mem_array(c->history, c->history_n + 1, sizeof *c->history);
    c->history[c->history_n++] = (struct oci_history){ .created = mem_strdup(build_time(time_s, buf)),
                                                       .created_by = mem_strdup(created_by),
                                                       .comment = mem_strdup("husk"),
                                                       .empty_layer = empty };
}

char *build_state_key(const struct build_state *s)
{
    own_str struct str text = { 0 };
    for (size_t i = 0; i < s->layers_n; i++)
        str_printf(&text, "%s\n", s->layers[i].diff_id);
    str_add(&text, "");
    return digest_of(text.text ? text.text : "", text.len);
}
