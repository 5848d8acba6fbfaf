// SPDX-License-Identifier: GPL-2.0-or-later
#include "transport/list.h"

#include <string.h>

#include "image/blob.h"
#include "os/fs.h"

#define NAME_KEY    "org.opencontainers.image.ref.name"
#define ORIGINS_KEY "dev.husk.manifest.origins"

enum { CONFIG_MAX = 4 << 20 };

void list_free(struct list *l)
{
    if (!l)
        return;
    free(l->name);
    oci_index_free(l->index);
    strmap_free(&l->origins);
    free(l);
}

struct list *list_new(const char *full_name)
{
    struct list *l = mem_zalloc(sizeof *l);
    l->name = mem_strdup(full_name);
    l->index = mem_zalloc(sizeof *l->index);
    l->index->schema_version = 2;
    l->index->media_type = mem_strdup(MEDIA_OCI_INDEX);
    return l;
}

/* ---- in the store ---- */

/* Of nobody but us: what cannot be read says that the images are not known to be anywhere. */
static void read_origins(const char *text, struct strmap *origins)
{
    own_json json_t *doc = NULL;
    const char *key;
    json_t *value;
    err_ignore(text ? json_parse("origins", text, strlen(text), &doc) : NULL, "then they are unknown");
    json_object_foreach (doc, key, value)
        if (json_is_string(value))
            strmap_set(origins, key, json_string_value(value));
}

static fallible find(struct layout *l, const char *full_name, struct oci_descriptor **ret)
{
    own(oci_index) struct oci_index *names = NULL;
    TRY(layout_read_index(l, &names));
    for (size_t i = 0; i < names->manifests_n; i++)
        if (str_eq(strmap_get(&names->manifests[i].annotations, NAME_KEY), full_name)) {
            *ret = descriptor_copy(&names->manifests[i]);
            return NULL;
        }
    return err_new(ERR_NOT_FOUND, "no such list");
}

static fallible read_list(struct layout *l, const char *full_name, struct list **ret)
{
    own(list) struct list *list = mem_zalloc(sizeof *list);
    own(descriptor) struct oci_descriptor *d = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    list->name = mem_strdup(full_name);
    TRY(find(l, full_name, &d));
    if (!media_is_index(d->media_type))
        return err_new(ERR_INVALID, "it is an image, no list of several");
    TRY(layout_read_blob(l, d->digest, &text, &len));
    TRY(oci_index_read(text, len, &list->index));
    read_origins(strmap_get(&d->annotations, ORIGINS_KEY), &list->origins);
    *ret = take(list);
    return NULL;
}

fallible list_read(struct layout *l, const char *full_name, struct list **ret)
{
    TRY_AS(read_list(l, full_name, ret), "manifest list '%s'", full_name);
    return NULL;
}

fallible list_lock(struct layout *l, int *ret_fd)
{
    return fs_lock_at(l->fd, "lists.lock", FS_LOCK_EXCLUSIVE, ret_fd);
}

static char *origins_text(const struct list *list)
{
    own_json json_t *doc = json_object();
    for (size_t i = 0; i < list->origins.n; i++)
        (void)json_object_set_new(doc, list->origins.items[i].key, json_string(list->origins.items[i].value));
    return json_text(doc, BIND_COMPACT);
}

fallible list_write(struct layout *l, const struct list *list, char **ret_digest)
{
    own_mem char *text = bind_write(&oci_index_type, list->index, BIND_COMPACT);
    own_mem char *digest = NULL;
    struct oci_descriptor target = { .media_type = list->index->media_type, .size = (int64_t)strlen(text) };
    TRY(blob_put(l, text, strlen(text), &digest));
    target.digest = digest;
    own(descriptor) struct oci_descriptor *d = descriptor_copy(&target);
    if (list->origins.n) {
        own_mem char *origins = origins_text(list);
        strmap_set(&d->annotations, ORIGINS_KEY, origins);
    }
    TRY(layout_set_name(l, list->name, d));
    if (ret_digest)
        *ret_digest = take(digest);
    return NULL;
}

/* ---- changed ---- */

static fallible no_such(const struct list *list, const char *digest)
{
    own_str struct str there = { 0 };
    for (size_t i = 0; i < list->index->manifests_n; i++)
        str_printf(&there, "%s%.100s", i ? ", " : "", list->index->manifests[i].digest);
    return err_new(ERR_NOT_FOUND, "'%.200s' is not in the list '%s': there %s %s", digest, list->name,
                   list->index->manifests_n == 1 ? "is" : "are", there.len ? there.text : "none");
}

static fallible set_annotations(struct strmap *to, const struct strv *words)
{
    for (size_t i = 0; words && i < words->n; i++) {
        const char *equals = strchr(words->items[i], '=');
        if (!equals || equals == words->items[i])
            return err_new(ERR_INVALID, "annotation '%.200s' is not of the form KEY=VALUE", words->items[i]);
        own_mem char *key = mem_strndup(words->items[i], (size_t)(equals - words->items[i]));
        strmap_set(to, key, equals + 1);
    }
    return NULL;
}

static void set_word(char **slot, const char *word)
{
    if (!word)
        return;
    free(*slot);
    *slot = mem_strdup(word);
}

static fallible annotate(struct oci_descriptor *d, const struct list_words *w)
{
    bool of_platform = w->os || w->arch || w->variant || w->os_version || (w->os_features && w->os_features->n);
    if (of_platform && !d->platform)
        d->platform = mem_zalloc(sizeof *d->platform);
    if (of_platform) {
        set_word(&d->platform->os, w->os);
        set_word(&d->platform->architecture, w->arch);
        set_word(&d->platform->variant, w->variant);
        set_word(&d->platform->os_version, w->os_version);
    }
    if (w->os_features && w->os_features->n) {
        strv_free(&d->platform->os_features);
        for (size_t i = 0; i < w->os_features->n; i++)
            strv_split(&d->platform->os_features, w->os_features->items[i], ',');
    }
    return set_annotations(&d->annotations, w->annotations);
}

fallible list_annotate(struct list *list, const char *digest, const struct list_words *words)
{
    bool found = false;
    for (size_t i = 0; i < list->index->manifests_n; i++)
        if (str_eq(list->index->manifests[i].digest, digest)) {
            TRY(annotate(&list->index->manifests[i], words));
            found = true;
        }
    return found ? NULL : no_such(list, digest);
}

fallible list_annotate_self(struct list *list, const struct strv *annotations)
{
    return set_annotations(&list->index->annotations, annotations);
}

fallible list_add(struct list *list, const struct oci_descriptor *d, const char *origin)
{
    struct oci_index *index = list->index;
    struct oci_descriptor *slot = NULL;
    for (size_t i = 0; i < index->manifests_n && !slot; i++)
        if (str_eq(index->manifests[i].digest, d->digest))
            slot = &index->manifests[i];
    if (!slot && index->manifests_n == LIST_MANIFESTS_MAX)
        return err_new(ERR_EXHAUSTED, "the list has %d images, and there is no room for more", LIST_MANIFESTS_MAX);
    if (origin)
        strmap_set(&list->origins, d->digest, origin);
    if (slot)
        return NULL;
    struct oci_descriptor *copy = descriptor_copy(d);
    index->manifests = mem_array(index->manifests, index->manifests_n + 1, sizeof *index->manifests);
    index->manifests[index->manifests_n++] = *copy;
    free(copy);
    return NULL;
}

fallible list_remove(struct list *list, const char *digest)
{
    struct oci_index *index = list->index;
    size_t kept = 0, all = index->manifests_n;
    for (size_t i = 0; i < all; i++) {
        struct oci_descriptor d = index->manifests[i];
        if (!str_eq(d.digest, digest)) {
            index->manifests[kept++] = d;
            continue;
        }
        struct oci_descriptor *gone = mem_alloc(sizeof *gone);
        *gone = d;
        descriptor_copy_free(gone);
    }
    index->manifests_n = kept;
    return kept < all ? NULL : no_such(list, digest);
}

fallible list_as_docker(struct list *list)
{
    bool lost = list->index->annotations.n > 0;
    for (size_t i = 0; i < list->index->manifests_n; i++)
        lost |= list->index->manifests[i].annotations.n > 0;
    if (lost)
        return err_new(ERR_UNSUPPORTED, "Docker's format has no annotations, and the list has some: push it as oci");
    set_word(&list->index->media_type, MEDIA_DOCKER_LIST);
    return NULL;
}

/* ---- what an image adds ---- */

static fallible find_platform(struct source *from, const struct registry_manifest *doc, struct oci_platform **ret)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    TRY(oci_manifest_read(doc->text, doc->len, &m));
    if (!oci_manifest_is_image(m)) /* an artifact is for no platform */
        return NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    own(oci_image_config) struct oci_image_config *config = NULL;
    TRY_AS(source_read_blob(from, m->config, CONFIG_MAX, &text, &len), "config %.19s", m->config->digest);
    TRY_AS(oci_image_config_read(text, len, &config), "config %.19s", m->config->digest);
    struct oci_platform *p = mem_zalloc(sizeof *p);
    p->os = mem_strdup(config->os);
    p->architecture = mem_strdup(config->architecture);
    p->variant = mem_strdup(config->variant);
    p->os_version = mem_strdup(config->os_version);
    *ret = p;
    return NULL;
}

static fallible entries_of_image(struct source *from, const struct registry_manifest *doc, struct oci_index *ret)
{
    struct oci_descriptor d = doc_descriptor(doc);
    ret->manifests = mem_zalloc(sizeof *ret->manifests);
    struct oci_descriptor *copy = descriptor_copy(&d);
    ret->manifests[0] = *copy;
    ret->manifests_n = 1;
    free(copy);
    return find_platform(from, doc, &ret->manifests[0].platform);
}

static fallible entries_of_index(const struct registry_manifest *doc, bool all, struct oci_index *ret)
{
    own(oci_index) struct oci_index *index = NULL;
    const struct oci_descriptor *only = NULL;
    TRY(oci_index_read(doc->text, doc->len, &index));
    if (!all)
        TRY(platform_choose(index, NULL, &only));
    if (index->manifests_n > LIST_MANIFESTS_MAX)
        return err_new(ERR_EXHAUSTED, "it names more than %d images", LIST_MANIFESTS_MAX);
    ret->manifests = mem_zalloc((index->manifests_n + 1) * sizeof *ret->manifests);
    for (size_t i = 0; i < index->manifests_n; i++) {
        if (only && only != &index->manifests[i])
            continue;
        struct oci_descriptor *copy = descriptor_copy(&index->manifests[i]);
        ret->manifests[ret->manifests_n++] = *copy;
        free(copy);
    }
    return NULL;
}

fallible list_entries(struct source *from, bool all, struct oci_index **ret)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own(oci_index) struct oci_index *made = mem_zalloc(sizeof *made);
    TRY(from->ops->get(from, NULL, &doc));
    if (media_is_index(doc->media_type))
        TRY(entries_of_index(doc, all, made));
    else
        TRY(entries_of_image(from, doc, made));
    *ret = take(made);
    return NULL;
}

/* ---- with all its images ---- */

struct list_source {
    struct source s;
    struct layout *l;        /* borrowed */
    const struct list *list; /* borrowed */
    struct registry_manifest *top;
    list_open *open;
    void *ctx;
    struct strv repositories; /* those that were opened */
    struct source **sources;
    struct source *here;
    struct source *now; /* where the document given last is, and its blobs */
};

static fallible origin_of(struct list_source *s, const char *digest, struct source **ret)
{
    const char *repository = strmap_get(&s->list->origins, digest);
    if (!repository)
        return err_new(ERR_NOT_FOUND,
                       "image %.19s of the list is not here: pull it first, or push the list alone with "
                       "--all=false",
                       digest);
    for (size_t i = 0; i < s->repositories.n; i++)
        if (str_eq(s->repositories.items[i], repository)) {
            *ret = s->sources[i];
            return NULL;
        }
    TRY(s->open(s->ctx, repository, ret));
    s->sources = mem_array(s->sources, s->repositories.n + 1, sizeof(struct source *));
    s->sources[s->repositories.n] = *ret;
    strv_add(&s->repositories, repository);
    return NULL;
}

/* Is an image here with all its blobs? A list's name promises nothing. */
static bool is_whole(struct layout *l, const char *digest)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    own(err) err *e = layout_read_blob(l, digest, &text, &len);
    own(err) err *e2 = e ? NULL : oci_manifest_read(text, len, &m);
    bool whole = !e && !e2 && layout_has_blob(l, m->config->digest, m->config->size);
    for (size_t i = 0; whole && i < m->layers_n; i++)
        whole = m->layers[i].urls.n || layout_has_blob(l, m->layers[i].digest, m->layers[i].size);
    return whole;
}

static fallible list_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct list_source *s = (struct list_source *)s_;
    if (!digest || str_eq(digest, s->top->digest)) {
        *ret = doc_copy(s->top);
        return NULL;
    }
    s->now = s->here;
    s->s.near_repo = strmap_get(&s->list->origins, digest);
    if (!is_whole(s->l, digest))
        TRY(origin_of(s, digest, &s->now));
    return s->now->ops->get(s->now, digest, ret);
}

static fallible list_open_blob(struct source *s_, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    struct list_source *s = (struct list_source *)s_;
    return s->now->ops->open(s->now, d, ret_fd, ret_offset);
}

static fallible list_send(struct source *s_, const struct oci_descriptor *d, int out_fd)
{
    struct list_source *s = (struct list_source *)s_;
    return s->now->ops->send(s->now, d, out_fd);
}

static void list_source_free(struct source *s_)
{
    struct list_source *s = (struct list_source *)s_;
    for (size_t i = 0; i < s->repositories.n; i++)
        source_free(s->sources[i]);
    free(s->sources);
    strv_free(&s->repositories);
    source_free(s->here);
    registry_manifest_free(s->top);
    free(s);
}

static const struct source_ops list_source_ops = {
    .get = list_get, .open = list_open_blob, .send = list_send, .free = list_source_free
};

fallible source_list(struct layout *l, const struct list *list, list_open *open, void *ctx, struct source **ret)
{
    own(source) struct source *made = NULL;
    own_mem char *text = bind_write(&oci_index_type, list->index, BIND_COMPACT);
    struct list_source *s = mem_zalloc(sizeof *s);
    made = &s->s;
    s->s.ops = &list_source_ops;
    s->s.transport = "containers-storage";
    s->s.scope = mem_strdup(list->name);
    s->s.name = mem_strdup(list->name);
    s->s.parallel = true;
    s->l = l;
    s->list = list;
    s->open = open;
    s->ctx = ctx;
    TRY(doc_make(text, strlen(text), list->index->media_type, NULL, &s->top));
    TRY(source_store_digest(l, s->top->digest, s->top->media_type, &s->here));
    s->now = s->here;
    *ret = take(made);
    return NULL;
}
