// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What comes out: an image of the store. Where it goes from there: build/deliver.h.
 */
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "build/build_parts.h"
#include "image/blob.h"
#include "image/ref.h"
#include "monitor/events.h"
#include "os/fs.h"

static fallible put_layers(struct build *b, const struct build_state *s, enum output_kind kind, struct oci_manifest *m)
{
    m->layers = mem_zalloc((s->layers_n + 1) * sizeof *m->layers);
    for (size_t i = 0; i < s->layers_n; i++, m->layers_n++)
        TRY(pack_layer(b, &s->layers[i], kind == OUTPUT_IMAGE, &m->layers[i]));
    return NULL;
}

static fallible put_config(struct build *b, const struct build_state *s, enum output_kind kind, char **ret_id,
                           size_t *ret_size)
{
    own(build_state) struct build_state *copy = NULL;
    char buf[40];
    TRY(build_state_copy(s, &copy));
    struct oci_image_config *c = copy->config;
    free(c->created);
    c->created = mem_strdup(build_time(build_newest(b, s), buf));
    if (kind == OUTPUT_IMAGE)
        final_config(b, c);
    own_mem char *text = bind_write(&oci_image_config_type, c, BIND_COMPACT);
    if (kind == OUTPUT_CACHE || share_is_inline(b)) {
        own_mem char *plain = take(text);
        TRY(share_add_records(b, plain, s, &text));
    }
    *ret_size = strlen(text);
    return blob_put(b->layout, text, *ret_size, ret_id);
}

static fallible write_manifest(struct build *b, const struct build_state *s, enum output_kind kind, const char *id,
                               size_t size, char **ret_digest, int64_t *ret_size)
{
    own(oci_manifest) struct oci_manifest *m = mem_zalloc(sizeof *m);
    m->schema_version = 2;
    m->media_type = mem_strdup(MEDIA_OCI_MANIFEST);
    m->config = mem_zalloc(sizeof *m->config);
    *m->config = (struct oci_descriptor){ .media_type = mem_strdup(MEDIA_OCI_CONFIG),
                                          .digest = mem_strdup(id),
                                          .size = (int64_t)size };
    TRY(put_layers(b, s, kind, m));
    if (kind == OUTPUT_IMAGE)
        final_manifest(b, s, m);
    own_mem char *text = bind_write(&oci_manifest_type, m, BIND_COMPACT);
    *ret_size = (int64_t)strlen(text);
    return blob_put(b->layout, text, strlen(text), ret_digest);
}

static void say_made(const struct build *b, const char *id, const struct strv *names)
{
    const char *run = b->engine->run;
    event_say(run, "image", "create", id, "name", names->n ? b->o->tags.items[0] : id, NULL);
    for (size_t i = 0; i < names->n; i++)
        event_say(run, "image", "tag", id, "name", names->items[i], NULL);
}

static fallible name_it(struct build *b, const struct oci_descriptor *target, const char *id)
{
    own_fd int lock = -1;
    own_strv struct strv names = { 0 };
    TRY(layout_lock(b->layout, LAYOUT_ADDING, &lock));
    if (b->o->tags.n == 0)
        TRY(layout_add_unnamed(b->layout, target));
    for (size_t i = 0; i < b->o->tags.n; i++) {
        own(ref) struct ref *ref = NULL;
        TRY(ref_parse(b->o->tags.items[i], &ref));
        own_mem char *full = ref_full(ref), *familiar = ref_familiar(ref);
        TRY(layout_set_name(b->layout, full, target));
        strv_add(&names, familiar);
    }
    say_made(b, id, &names);
    return NULL;
}

fallible build_put_image(struct build *b, const struct build_state *s, enum output_kind kind, char **ret_id,
                         char **ret_digest, int64_t *ret_size)
{
    own_mem char *id = NULL;
    size_t size = 0;
    TRY(put_config(b, s, kind, &id, &size));
    TRY(write_manifest(b, s, kind, id, size, ret_digest, ret_size));
    if (ret_id)
        *ret_id = take(id);
    return NULL;
}

fallible build_make_image(struct build *b, struct build_state *take_state)
{
    b->made = mem_array(b->made, b->made_n + 1, sizeof *b->made);
    struct build_made *m = &b->made[b->made_n++];
    *m = (struct build_made){ .platform = b->platform, .state = take_state };
    if (b->o->squash || b->o->squash_all)
        TRY(build_squash(b, take_state));
    return build_put_image(b, take_state, OUTPUT_IMAGE, &m->id, &m->digest, &m->size);
}

static struct oci_platform *platform_of(const struct build *b, const struct build_made *m)
{
    const struct oci_image_config *c = m->state->config;
    struct oci_platform *p = mem_zalloc(sizeof *p);
    p->os = mem_strdup(c->os);
    p->architecture = mem_strdup(c->architecture);
    p->variant = mem_strdup(c->variant);
    final_platform(b, c, p);
    return p;
}

static fallible put_index(struct build *b, char **ret_digest, int64_t *ret_size)
{
    own(oci_index) struct oci_index *index = mem_zalloc(sizeof *index);
    index->schema_version = 2;
    index->media_type = mem_strdup(final_type(b, MEDIA_OCI_INDEX));
    index->manifests = mem_zalloc(2 * b->made_n * sizeof *index->manifests);
    annotation_add(b, ANNOTATION_INDEX, NULL, &index->annotations);
    for (size_t i = 0; i < b->made_n; i++) {
        struct oci_descriptor *d = &index->manifests[index->manifests_n++];
        *d = (struct oci_descriptor){ .media_type = mem_strdup(final_type(b, MEDIA_OCI_MANIFEST)),
                                      .digest = mem_strdup(b->made[i].digest),
                                      .size = b->made[i].size,
                                      .platform = platform_of(b, &b->made[i]) };
        annotation_add(b, ANNOTATION_MANIFEST_DESCRIPTOR, b->made[i].platform, &d->annotations);
    }
    for (size_t i = 0; attest_is_wanted(&b->attest) && i < b->made_n; i++)
        TRY(attest_put(b, &b->made[i], &index->manifests[index->manifests_n++]));
    own_mem char *text = bind_write(&oci_index_type, index, BIND_COMPACT);
    *ret_size = (int64_t)strlen(text);
    return blob_put(b->layout, text, strlen(text), ret_digest);
}

fallible build_output(struct build *b, char **ret_id)
{
    own_mem char *digest = NULL;
    struct oci_descriptor target = { .media_type = (char *)(uintptr_t)final_type(b, MEDIA_OCI_MANIFEST),
                                     .digest = b->made[0].digest,
                                     .size = b->made[0].size };
    const char *id = b->made[0].id;
    if (b->made_n > 1 || b->always_index || attest_is_wanted(&b->attest)) {
        TRY(put_index(b, &digest, &target.size));
        target.media_type = (char *)(uintptr_t)final_type(b, MEDIA_OCI_INDEX);
        target.digest = digest;
        id = b->made_n > 1 ? digest : id;
    }
    TRY(name_it(b, &target, id));
    if (b->o->iidfile)
        TRY_AS(fs_write_out(AT_FDCWD, b->o->iidfile, id, strlen(id)), "--iidfile");
    TRY(manifest_add(b, &target));
    TRY(attest_files(b));
    TRY(share_export(b));
    TRY(build_deliver(b, id, &target));
    *ret_id = mem_strdup(id);
    return NULL;
}
