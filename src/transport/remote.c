/*
 * docker: a repository of a registry, as a source and as a sink.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "image/push.h"
#include "transport/transport.h"

/* ---- source ---- */

struct remote_source {
    struct source s;
    struct registry *r;
    char *what; /* tag or digest */
    char *repo; /* "REGISTRY/REPOSITORY" */
};

static fallible remote_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct remote_source *s = (struct remote_source *)s_;
    return registry_get_manifest(s->r, digest ? digest : s->what, ret);
}

static fallible remote_open(struct source *s, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    return NULL; /* *ret_fd stays -1: it is sent */
}

static fallible remote_send(struct source *s_, const struct oci_descriptor *d, int out_fd)
{
    struct remote_source *s = (struct remote_source *)s_;
    return registry_send_blob(s->r, d->digest, out_fd);
}

static fallible remote_fetch(struct source *s_, const struct oci_descriptor *d, struct blob *b)
{
    struct remote_source *s = (struct remote_source *)s_;
    return registry_get_blob(s->r, d->digest, b, NULL, NULL);
}

static fallible remote_tagged(struct source *s_, const char *tag, struct registry_manifest **ret)
{
    struct remote_source *s = (struct remote_source *)s_;
    return registry_get_manifest(s->r, tag, ret);
}

static fallible remote_referrers(struct source *s_, const char *digest, struct oci_index **ret)
{
    struct remote_source *s = (struct remote_source *)s_;
    return registry_list_referrers(s->r, digest, NULL, ret);
}

static void remote_source_free(struct source *s_)
{
    struct remote_source *s = (struct remote_source *)s_;
    registry_free(s->r);
    free(s->what);
    free(s->repo);
    free(s);
}

static const struct source_ops remote_source_ops = {
    .get = remote_get,
    .open = remote_open,
    .send = remote_send,
    .fetch = remote_fetch,
    .tagged = remote_tagged,
    .referrers = remote_referrers,
    .free = remote_source_free,
};

fallible source_registry(const struct ref *ref, const struct registry_options *o, struct source **ret)
{
    own(source) struct source *made = NULL;
    struct remote_source *s = mem_zalloc(sizeof *s);
    made = &s->s;
    s->s.ops = &remote_source_ops;
    s->s.transport = "docker";
    s->s.scope = ref_full(ref);
    s->s.name = ref->digest ? NULL : ref_full(ref);
    s->s.parallel = true;
    s->what = mem_strdup(ref->digest ? ref->digest : ref->tag);
    s->s.near_repo = s->repo = mem_printf("%s/%s", ref->registry, ref->repository);
    TRY(registry_open(ref, o, &s->r));
    *ret = take(made);
    return NULL;
}

/* ---- sink ---- */

struct remote_sink {
    struct sink s;
    struct registry *r;
    struct ref *ref;
};

/* Of another repository of this registry where the blobs are: its name below the registry. NULL: there is none. */
static const char *near_here(const struct remote_sink *s)
{
    const char *repo = s->s.near_repo;
    size_t n = strlen(s->ref->registry);
    if (!repo || strncmp(repo, s->ref->registry, n) != 0 || repo[n] != '/' || str_eq(repo + n + 1, s->ref->repository))
        return NULL;
    return repo + n + 1;
}

static fallible remote_has(struct sink *s_, const struct oci_descriptor *const *d, size_t n, bool *ret_has)
{
    struct remote_sink *s = (struct remote_sink *)s_;
    const char *near = near_here(s);
    for (size_t i = 0; i < n; i++) {
        TRY(registry_has_blob(s->r, d[i]->digest, &ret_has[i]));
        if (!ret_has[i] && near)
            TRY(registry_mount_blob(s->r, d[i]->digest, near, &ret_has[i]));
    }
    return NULL;
}

struct reading {
    int fd;
    int64_t base; /* where the blob begins in a file; -1: a pipe */
    int64_t at, size;
};

static err *seek_reading(void *ctx, int64_t at)
{
    struct reading *r = ctx;
    if (r->base < 0 && at != r->at) /* copy_image() begins again, from the source */
        return err_new(ERR_UNAVAILABLE, "the connection was lost, and what passes through cannot be sent again");
    r->at = at;
    return NULL;
}

static err *read_reading(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct reading *r = ctx;
    int64_t left = r->size - r->at;
    size_t want = left < (int64_t)max ? (size_t)left : max;
    for (;;) {
        ssize_t n = r->base < 0 ? read(r->fd, buf, want) : pread(r->fd, buf, want, r->base + r->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read it");
        if (n == 0 && left > 0)
            return err_new(ERR_CORRUPT, "it ends %lld bytes too early", (long long)left);
        r->at += n;
        *ret_n = (size_t)n;
        return NULL;
    }
}

/* The registry hashes what it is given, and refuses another digest. */
static fallible remote_put(struct sink *s_, const struct oci_descriptor *d, int fd, int64_t offset, bool known)
{
    struct remote_sink *s = (struct remote_sink *)s_;
    struct reading r = { .fd = fd, .base = offset, .size = d->size };
    struct registry_source source = { d->size, seek_reading, read_reading, &r };
    return registry_put_blob(s->r, d->digest, &source, NULL, NULL);
}

static fallible remote_put_doc(struct sink *s_, const struct registry_manifest *doc, enum doc_place place,
                               const char *name)
{
    struct remote_sink *s = (struct remote_sink *)s_;
    own(ref) struct ref *named = NULL;
    const char *where = doc->digest;
    if (place == DOC_TOP && s->ref->tag)
        where = s->ref->tag;
    if (place == DOC_TOP && s->ref->digest && !str_eq(s->ref->digest, doc->digest))
        return err_new(ERR_CONFLICT, "the destination says digest %s, the image has %s", s->ref->digest, doc->digest);
    if (place == DOC_REFERRER && name) {
        TRY(ref_parse(name, &named));
        where = named->tag;
    }
    return registry_put_manifest(s->r, where, doc->media_type, doc->text, doc->len, NULL);
}

static fallible remote_finish(struct sink *s)
{
    return NULL;
}

static void remote_sink_free(struct sink *s_)
{
    struct remote_sink *s = (struct remote_sink *)s_;
    registry_free(s->r);
    ref_free(s->ref);
    free(s);
}

static const struct sink_ops remote_sink_ops = {
    .has = remote_has, .put = remote_put, .put_doc = remote_put_doc, .finish = remote_finish, .free = remote_sink_free
};

fallible sink_registry(const struct ref *ref, const struct registry_options *o, struct sink **ret)
{
    own(sink) struct sink *made = NULL;
    own_mem char *full = ref_full(ref);
    struct remote_sink *s = mem_zalloc(sizeof *s);
    made = &s->s;
    s->s.ops = &remote_sink_ops;
    s->s.parallel = true;
    s->s.name = mem_strdup(full);
    TRY(ref_parse(full, &s->ref));
    TRY(registry_open(ref, o, &s->r));
    *ret = take(made);
    return NULL;
}
