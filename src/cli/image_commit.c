/*
 * husk-image commit: the part of husk commit that packs a layer and writes documents. A plan (engine/commit.h) is
 * its standard input, the image's ID its output.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/image_common.h"
#include "engine/commit.h"
#include "engine/userns.h"
#include "image/blob.h"
#include "image/change.h"
#include "image/ref.h"
#include "layers/diff.h"
#include "layers/unpack.h"
#include "os/fs.h"

enum { PLAN_MAX = 16 << 20, PACK_LEVEL = 1 };

static const struct opt no_options[] = { OPT_END };

static fallible read_plan(struct commit_plan **ret)
{
    own_mem char *text = NULL;
    void *plan = NULL;
    size_t len = 0;
    TRY(fs_read_fd(STDIN_FILENO, "the plan", PLAN_MAX, &text, &len));
    TRY(bind_read(&commit_plan_type, text, len, &plan));
    *ret = plan;
    return NULL;
}

static fallible put_layer(struct layout *l, const struct commit_plan *p, int upper, struct diff_result *ret)
{
    own(id_map) struct id_map ids = { 0 };
    struct diff d = { .upper_fd = upper, .skip = &p->skip };
    if (p->first_id) {
        id_map_add(&ids, 0, (uint32_t)p->first_id, USERNS_IDS);
        d.uids = d.gids = &ids;
    }
    TRY(diff_put(&d, STREAM_ZSTD, PACK_LEVEL, l, ret));
    return layer_unpack_blob(l, ret->digest, ret->diff_id, NULL, NULL);
}

static fallible change_config(struct commit_plan *p, struct oci_image_config *c, const char *diff_id)
{
    char now[40];
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &t);
    format_time_ns((int64_t)t.tv_sec * 1000000000 + t.tv_nsec, now);
    for (size_t i = 0; i < p->changes.n; i++)
        TRY_AS(change_apply(p->changes.items[i], p->run), "--change");
    if (c->config) { /* what a container does not change stays the image's */
        struct oci_image_run *old = c->config;
        for (size_t i = 0; i < old->exposed_ports.n; i++)
            if (!strv_has(&p->run->exposed_ports, old->exposed_ports.items[i]))
                strv_add(&p->run->exposed_ports, old->exposed_ports.items[i]);
        p->run->healthcheck = p->run->healthcheck ? p->run->healthcheck : take(old->healthcheck);
        if (!p->run->shell.n)
            strv_copy(&p->run->shell, old->shell.items, old->shell.n);
    }
    struct oci_image_run *run = c->config; /* exchanged: each is freed by its owner */
    c->config = p->run;
    p->run = run;
    free(c->created);
    c->created = mem_strdup(now);
    if (p->author) {
        free(c->author);
        c->author = mem_strdup(p->author);
    }
    strv_add(&c->rootfs->diff_ids, diff_id);
    c->history = mem_array(c->history, c->history_n + 1, sizeof *c->history);
    c->history[c->history_n++] = (struct oci_history){
        .created = mem_strdup(now),
        .author = mem_strdup(p->author),
        .created_by = mem_strdup(p->created_by),
        .comment = mem_strdup(p->message),
    };
    return NULL;
}

static fallible read_parent(struct layout *l, const char *digest, struct oci_manifest **ret_manifest,
                            struct oci_image_config **ret_config)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own_mem char *text = NULL, *config = NULL;
    size_t len = 0;
    TRY(layout_read_blob(l, digest, &text, &len));
    TRY(oci_manifest_read(text, len, &m));
    TRY(layout_read_blob(l, m->config->digest, &config, &len));
    TRY(oci_image_config_read(config, len, ret_config));
    *ret_manifest = take(m);
    return NULL;
}

static void add_layer(struct oci_manifest *m, const struct diff_result *layer, const char *config, size_t size)
{
    free(m->config->digest);
    m->config->digest = mem_strdup(config);
    m->config->size = (int64_t)size;
    m->layers = mem_array(m->layers, m->layers_n + 1, sizeof *m->layers);
    m->layers[m->layers_n++] = (struct oci_descriptor){ .media_type = mem_strdup(layer->media_type),
                                                        .digest = mem_strdup(layer->digest),
                                                        .size = layer->size };
    strmap_free(&m->annotations); /* they were the other image's */
    m->annotations = (struct strmap){ 0 };
}

static fallible commit(struct layout *l, struct commit_plan *p, int upper, const char *name, char **ret_id)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own(oci_image_config) struct oci_image_config *c = NULL;
    own(diff_result) struct diff_result layer = { 0 };
    own_mem char *id = NULL, *digest = NULL;
    own_fd int lock = -1;
    TRY(layout_lock(l, LAYOUT_ADDING, &lock));
    TRY_AS(read_parent(l, p->manifest, &m, &c), "the container's image");
    if (!c->rootfs)
        return err_new(ERR_CORRUPT, "the container's image names no layers");
    TRY(put_layer(l, p, upper, &layer));
    TRY(change_config(p, c, layer.diff_id));
    own_mem char *config = bind_write(&oci_image_config_type, c, BIND_COMPACT);
    TRY(blob_put(l, config, strlen(config), &id));
    add_layer(m, &layer, id, strlen(config));
    own_mem char *manifest = bind_write(&oci_manifest_type, m, BIND_COMPACT);
    TRY(blob_put(l, manifest, strlen(manifest), &digest));
    struct oci_descriptor target = { .media_type = m->media_type ? m->media_type : (char *)MEDIA_OCI_MANIFEST,
                                     .digest = digest,
                                     .size = (int64_t)strlen(manifest) };
    TRY(name ? layout_set_name(l, name, &target) : layout_add_unnamed(l, &target));
    *ret_id = take(id);
    return NULL;
}

static fallible commit_run(const void *unused, struct args args)
{
    own(image_session) struct image_session *s = NULL;
    own(commit_plan) struct commit_plan *p = NULL;
    own(ref) struct ref *ref = NULL;
    own_mem char *id = NULL, *name = NULL;
    TRY(read_plan(&p));
    if (p->name) {
        TRY(ref_parse(p->name, &ref));
        if (ref->digest)
            return err_new(ERR_INVALID, "'%s': a new image's digest cannot be chosen", p->name);
        name = ref_full(ref);
    }
    TRY(image_session_open(&s));
    own_fd int upper = open(p->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (upper < 0)
        return err_sys(errno, "open '%s'", p->upper);
    TRY(image_confine(s, upper));
    TRY(image_session_failed(s, ATTEMPT_WHOLE, commit(s->store, p, upper, name, &id)));
    printf("%s\n", id);
    return NULL;
}

const struct command cmd_commit_layer = {
    .name = "commit",
    .summary = "Make an image of a container's changes",
    .opts = no_options,
    .opts_size = 1,
    .max_args = 0,
    .fail_exit = 1,
    .hidden = true,
    .run = commit_run,
};
