/*
 * The store of another host, as a source and as a sink: the client's side of wire.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "os/fs.h"
#include "transport/wire.h"

struct wire_source {
    struct source s;
    struct wire *w;
    char *what;
};

static fallible read_doc(struct wire *w, struct registry_manifest **ret, const char *digest)
{
    own(wire_message) struct wire_message *m = NULL;
    TRY(wire_expect_message(w, 'D', &m));
    if (!m->text)
        return err_new(ERR_CORRUPT, "the other side's answer has no document");
    return doc_make(m->text, strlen(m->text), m->media_type, digest ? digest : m->digest, ret);
}

static fallible wire_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct wire_source *s = (struct wire_source *)s_;
    struct wire_message ask = { .name = digest ? NULL : s->what, .digest = (char *)digest };
    TRY(wire_send_message(s->w, 'G', &ask));
    return read_doc(s->w, ret, digest);
}

static fallible wire_open(struct source *s, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    return NULL; /* *ret_fd stays -1: it is sent */
}

static err *pass_on(void *fd, const void *bytes, size_t n)
{
    return fs_write_fd(*(int *)fd, bytes, n, "a pipe");
}
static err *into_blob(void *blob, const void *bytes, size_t n)
{
    return blob_add(blob, bytes, n);
}

static fallible ask_for(struct wire_source *s, const struct oci_descriptor *d)
{
    struct wire_message ask = { .digest = d->digest, .size = d->size };
    return wire_send_message(s->w, 'F', &ask);
}

static fallible wire_send_on(struct source *s_, const struct oci_descriptor *d, int out_fd)
{
    struct wire_source *s = (struct wire_source *)s_;
    TRY(ask_for(s, d));
    return wire_receive_blob(s->w, d->size, pass_on, &out_fd);
}

static fallible wire_fetch(struct source *s_, const struct oci_descriptor *d, struct blob *b)
{
    struct wire_source *s = (struct wire_source *)s_;
    TRY(blob_restart(b));
    TRY(ask_for(s, d));
    return wire_receive_blob(s->w, d->size, into_blob, b);
}

static fallible wire_tagged(struct source *s_, const char *tag, struct registry_manifest **ret)
{
    struct wire_source *s = (struct wire_source *)s_;
    own(ref) struct ref *r = NULL;
    if (!s->s.name)
        return err_new(ERR_NOT_FOUND, "the image has no name");
    TRY(ref_parse(s->s.name, &r));
    own_mem char *full = mem_printf("%s/%s:%s", r->registry, r->repository, tag);
    struct wire_message ask = { .name = full };
    TRY(wire_send_message(s->w, 'T', &ask));
    return read_doc(s->w, ret, NULL);
}

static fallible wire_referrers(struct source *s_, const char *digest, struct oci_index **ret)
{
    struct wire_source *s = (struct wire_source *)s_;
    struct wire_message ask = { .digest = (char *)digest };
    own(wire_message) struct wire_message *m = NULL;
    TRY(wire_send_message(s->w, 'R', &ask));
    TRY(wire_expect_message(s->w, 'D', &m));
    *ret = NULL;
    return m->text && *m->text ? oci_index_read(m->text, strlen(m->text), ret) : NULL;
}

static void wire_source_free(struct source *s_)
{
    struct wire_source *s = (struct wire_source *)s_;
    free(s->what);
    free(s);
}

static const struct source_ops wire_source_ops = {
    .get = wire_get,
    .open = wire_open,
    .send = wire_send_on,
    .fetch = wire_fetch,
    .tagged = wire_tagged,
    .referrers = wire_referrers,
    .free = wire_source_free,
};

fallible source_wire(struct wire *w, const char *name, const char *scope, struct source **ret)
{
    struct wire_source *s = mem_zalloc(sizeof *s);
    own(ref) struct ref *ref = NULL;
    s->s.ops = &wire_source_ops;
    s->s.transport = "ssh";
    s->s.scope = mem_strdup(scope);
    err_ignore(ref_parse(name, &ref), "it is an ID then");
    s->s.name = ref && ref->tag && !ref->digest ? ref_full(ref) : NULL;
    s->w = w;
    s->what = mem_strdup(name);
    *ret = &s->s;
    return NULL;
}

/* ---- sink ---- */

struct wire_sink {
    struct sink s;
    struct wire *w;
};

static fallible wire_has(struct sink *s_, const struct oci_descriptor *const *d, size_t n, bool *ret_has)
{
    struct wire_sink *s = (struct wire_sink *)s_;
    struct wire_message ask = { 0 };
    own(wire_message) struct wire_message *m = NULL;
    for (size_t i = 0; i < n; i++)
        strv_add(&ask.blobs, d[i]->digest);
    err *e = wire_send_message(s->w, 'Q', &ask);
    strv_free(&ask.blobs);
    TRY(e);
    TRY(wire_expect_message(s->w, 'A', &m));
    if (!m->has || strlen(m->has) != n)
        return err_new(ERR_CORRUPT, "the other side does not say which blobs it has");
    for (size_t i = 0; i < n; i++)
        ret_has[i] = m->has[i] == '1';
    return NULL;
}

static fallible wire_put(struct sink *s_, const struct oci_descriptor *d, int fd, int64_t offset, bool known)
{
    struct wire_sink *s = (struct wire_sink *)s_;
    struct wire_message ask = { .digest = d->digest, .size = d->size };
    TRY(wire_send_message(s->w, 'P', &ask));
    err *e = wire_send_blob(s->w, fd, offset, d->size);
    if (e && (err_is(e, ERR_UNAVAILABLE) || err_errno(e) == EPIPE))
        return e;
    err *theirs = wire_expect(s->w, 'K');
    if (e)
        err_ignore(theirs, "it was we who gave up");
    return e ? e : theirs;
}

static fallible wire_put_doc(struct sink *s_, const struct registry_manifest *doc, enum doc_place place,
                             const char *name)
{
    static const char *const places[] = { [DOC_PART] = "part", [DOC_TOP] = "top", [DOC_REFERRER] = "referrer" };
    struct wire_sink *s = (struct wire_sink *)s_;
    struct wire_message put = { .place = (char *)places[place],
                                .name = (char *)name,
                                .digest = doc->digest,
                                .media_type = doc->media_type,
                                .text = doc->text };
    if (strlen(doc->text) != doc->len)
        return err_new(ERR_CORRUPT, "the manifest holds a NUL");
    TRY(wire_send_message(s->w, 'S', &put));
    return wire_expect(s->w, 'K');
}

static fallible wire_finish(struct sink *s)
{
    return NULL;
}

static void wire_sink_free(struct sink *s)
{
    free(s);
}

static const struct sink_ops wire_sink_ops = {
    .has = wire_has, .put = wire_put, .put_doc = wire_put_doc, .finish = wire_finish, .free = wire_sink_free
};

fallible sink_wire(struct wire *w, const char *name, struct sink **ret)
{
    struct wire_sink *s = mem_zalloc(sizeof *s);
    s->s.ops = &wire_sink_ops;
    s->s.referrers_first = true;
    s->s.name = mem_strdup(name);
    s->w = w;
    *ret = &s->s;
    return NULL;
}
