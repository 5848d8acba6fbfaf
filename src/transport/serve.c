/*
 * The server's side of wire.h: `husk image serve`.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "image/ref.h"
#include "transport/trust.h"
#include "transport/wire.h"

struct serving {
    struct wire *w;
    const struct wire_server *server;
    struct sink *sink;
    bool broken; /* the link: nothing more can be said */
    bool full;   /* the disk */
};

static fallible answer_doc(struct serving *v, const struct registry_manifest *doc)
{
    struct wire_message m = { .digest = doc->digest, .media_type = doc->media_type, .text = doc->text };
    if (strlen(doc->text) != doc->len)
        return err_new(ERR_CORRUPT, "the manifest holds a NUL");
    return wire_send_message(v->w, 'D', &m);
}

static fallible on_get(struct serving *v, const struct wire_message *m)
{
    own(source) struct source *s = NULL;
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    if (m->name) {
        TRY(source_store(v->server->store, m->name, &s));
        TRY(s->ops->get(s, NULL, &doc));
    } else if (m->digest) {
        TRY(layout_read_blob(v->server->store, m->digest, &text, &len));
        TRY(doc_make(text, len, NULL, m->digest, &doc));
    } else {
        return err_new(ERR_INVALID, "neither a name nor a digest is asked for");
    }
    return answer_doc(v, doc);
}

/* "registry/repository:tag", as an image of that repository would ask. */
static fallible on_tagged(struct serving *v, const struct wire_message *m)
{
    own(source) struct source *s = NULL;
    own(registry_manifest) struct registry_manifest *doc = NULL;
    if (!m->name)
        return err_new(ERR_INVALID, "no name is asked for");
    TRY(source_store(v->server->store, m->name, &s));
    TRY(s->ops->get(s, NULL, &doc));
    return answer_doc(v, doc);
}

static fallible on_referrers(struct serving *v, const struct wire_message *m)
{
    own(oci_index) struct oci_index *index = NULL;
    if (!m->digest)
        return err_new(ERR_INVALID, "no digest is asked for");
    TRY(store_referrers_of(v->server->store, m->digest, &index));
    own_mem char *text = index ? bind_write(&oci_index_type, index, BIND_COMPACT) : mem_strdup("");
    struct wire_message answer = { .text = text };
    return wire_send_message(v->w, 'D', &answer);
}

static fallible on_query(struct serving *v, const struct wire_message *m)
{
    own_str struct str has = { 0 };
    str_add(&has, "");
    for (size_t i = 0; i < m->blobs.n; i++)
        str_add_char(&has, layout_has_blob(v->server->store, m->blobs.items[i], -1) ? '1' : '0');
    struct wire_message answer = { .has = has.text };
    return wire_send_message(v->w, 'A', &answer);
}

static fallible on_fetch(struct serving *v, const struct wire_message *m)
{
    own_fd int fd = -1;
    if (!m->digest)
        return err_new(ERR_INVALID, "no digest is asked for");
    TRY(layout_open_blob(v->server->store, m->digest, m->size, &fd));
    err *e = wire_send_blob(v->w, fd, 0, m->size);
    v->broken = e != NULL; /* the client has been told, or is gone */
    return e;
}

static err *into_blob(void *blob, const void *bytes, size_t n)
{
    return blob ? blob_add(blob, bytes, n) : NULL;
}

/* What comes is read to its end, whatever is wrong with it. */
static fallible on_put(struct serving *v, const struct wire_message *m)
{
    own(blob) struct blob *b = NULL;
    err *e =
        m->digest ? blob_begin(v->server->store, m->digest, m->size, &b) : err_new(ERR_INVALID, "no digest is said");
    if (!e && b)
        e = blob_restart(b);
    err *link = wire_receive_blob(v->w, m->size, into_blob, e ? NULL : b);
    if (!e)
        e = link;
    else
        err_ignore(link, "the first error counts");
    if (!e && b)
        e = blob_end(b);
    if (e && b)
        blob_discard(take(b));
    return e ? e : wire_send(v->w, 'K', NULL, 0);
}

static fallible check_parts(struct serving *v, const struct registry_manifest *doc)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own(oci_index) struct oci_index *index = NULL;
    own_mem const struct oci_descriptor **list = NULL;
    size_t n = 0;
    if (media_is_index(doc->media_type)) {
        TRY(oci_index_read(doc->text, doc->len, &index));
        for (size_t i = 0; i < index->manifests_n; i++)
            if (!layout_has_blob(v->server->store, index->manifests[i].digest, index->manifests[i].size))
                return err_new(ERR_CONFLICT, "manifest %s was not sent", index->manifests[i].digest);
        return NULL;
    }
    TRY(oci_manifest_read(doc->text, doc->len, &m));
    TRY(doc_blobs(m, &list, &n));
    for (size_t i = 0; i < n; i++)
        if (!layout_has_blob(v->server->store, list[i]->digest, list[i]->size))
            return err_new(ERR_CONFLICT, "blob %s was not sent", list[i]->digest);
    for (size_t i = 0; i < m->layers_n; i++)
        if (media_is_encrypted(m->layers[i].media_type))
            return err_new(ERR_UNSUPPORTED, "its layers are encrypted");
    return NULL;
}

/* "sha256-HEX.sig" and the like: what refers to an image, never one that runs. */
static bool is_attached(const struct ref *ref)
{
    static const char *const ends[] = { ".sig", ".att", ".sbom" };
    size_t len = ref && ref->tag ? strlen(ref->tag) : 0, hex = strlen("sha256-") + 64;
    if (len <= hex || !str_starts(ref->tag, "sha256-"))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (str_eq(ref->tag + hex, ends[i]))
            return true;
    return false;
}

/* Signatures are looked for under the name that the image is to get: the client sends them before it. */
static fallible admit(struct serving *v, const struct registry_manifest *doc, enum doc_place place, const char *name)
{
    own(source) struct source *s = NULL;
    own(ref) struct ref *ref = NULL;
    if (!v->server->policy || place == DOC_PART)
        return NULL;
    if (name)
        TRY(ref_parse(name, &ref));
    if (place == DOC_REFERRER && (!name || is_attached(ref)))
        return NULL;
    TRY(source_store_sent(v->server->store, doc, name, &s));
    struct trust trust = { v->server->policy, v->server->store };
    return trust_admit(&trust, s, doc, doc);
}

static fallible on_document(struct serving *v, const struct wire_message *m)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own(ref) struct ref *ref = NULL;
    enum doc_place place = str_eq(m->place, "part") ? DOC_PART : str_eq(m->place, "top") ? DOC_TOP : DOC_REFERRER;
    if (!m->text || !m->digest)
        return err_new(ERR_INVALID, "no document is sent");
    if (m->name)
        TRY(ref_parse(m->name, &ref));
    own_mem char *name = ref ? ref_full(ref) : NULL;
    TRY(doc_make(m->text, strlen(m->text), m->media_type, m->digest, &doc));
    TRY(check_parts(v, doc));
    TRY(admit(v, doc, place, name));
    TRY(v->sink->ops->put_doc(v->sink, doc, place, name));
    return wire_send(v->w, 'K', NULL, 0);
}

static fallible on_hello(struct serving *v, const struct wire_message *m)
{
    struct wire_message hello = { .husk = WIRE_VERSION };
    return wire_send_message(v->w, 'H', &hello);
}

static const struct {
    char kind;
    err *(*act)(struct serving *v, const struct wire_message *m);
} acts[] = {
    { 'H', on_hello }, { 'G', on_get },   { 'T', on_tagged }, { 'R', on_referrers },
    { 'Q', on_query }, { 'F', on_fetch }, { 'P', on_put },    { 'S', on_document },
};

static fallible act(struct serving *v, char kind)
{
    own(wire_message) struct wire_message *m = NULL;
    TRY(wire_message_read(v->w->frame, v->w->len, &m));
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
        if (acts[i].kind == kind)
            return acts[i].act(v, m);
    return err_new(ERR_UNSUPPORTED, "this husk does not know the request '%c'", kind);
}

fallible wire_serve(struct wire *w, const struct wire_server *server)
{
    own(sink) struct sink *sink = NULL;
    TRY(sink_store(server->store, NULL, NULL, &sink));
    struct serving v = { .w = w, .server = server, .sink = sink };
    for (;;) {
        char kind = 0;
        TRY(wire_receive(w, &kind));
        if (!kind)
            return v.full ? err_exit(1) : NULL; /* the other side has been told */
        own(err) err *e = act(&v, kind);
        if (!e)
            continue;
        v.full = v.full || err_errno(e) == ENOSPC || err_errno(e) == EDQUOT;
        log_debug("serve: '%c': %s", kind, err_text(e));
        if (v.broken)
            return take(e);
        TRY(wire_send_error(w, e));
    }
}
