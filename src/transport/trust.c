// SPDX-License-Identifier: GPL-2.0-or-later
#include "transport/trust.h"

#include <limits.h>
#include <string.h>

#include "image/sigstore.h"

/* ---- signatures ---- */

static fallible add_signature(struct source *from, const struct oci_descriptor *d, struct trusted *t)
{
    const char *signature = strmap_get(&d->annotations, SIGSTORE_ANNOTATION);
    own_mem char *payload = NULL;
    size_t len = 0;
    if (!str_eq(d->media_type, SIGSTORE_MEDIA_TYPE) || !signature)
        return NULL;
    TRY(source_read_blob(from, d, SIGSTORE_PAYLOAD_MAX, &payload, &len));
    if (strlen(payload) == len) /* one with a NUL in it is none */
        trusted_add_signature(t, payload, signature);
    return NULL;
}

fallible trust_fetch(struct source *from, const char *digest, struct trusted *t)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own(oci_manifest) struct oci_manifest *m = NULL;
    own_mem char *tag = mem_printf("%.*s-%s.sig", (int)strcspn(digest, ":"), digest, digest_hex(digest));
    if (!from->ops->tagged)
        return NULL;
    err *e = from->ops->tagged(from, tag, &doc);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "it has none");
        return NULL;
    }
    TRY_AS(e, "its signatures");
    if (!media_is_manifest(doc->media_type))
        return NULL;
    TRY_AS(oci_manifest_read(doc->text, doc->len, &m), "its signatures");
    if (m->layers_n > SIGSTORE_SIGNATURES_MAX)
        return err_new(ERR_EXHAUSTED, "its signatures: more than %d", SIGSTORE_SIGNATURES_MAX);
    for (size_t i = 0; i < m->layers_n; i++)
        TRY_AS(add_signature(from, &m->layers[i], t), "its signatures");
    return NULL;
}

static fallible check_keys(const struct policy_rule *rule, const struct trusted_signature *s)
{
    err *last = err_new(ERR_DENIED, "the policy names no key");
    for (size_t i = 0; i < rule->keys.n; i++) {
        err_ignore(last, "another key may fit");
        last = sigstore_verify(rule->keys.items[i], s->payload, strlen(s->payload), s->signature);
        if (!last)
            return NULL;
    }
    return last;
}

static fallible check_one(const struct trusted_signature *s, const struct strv *digests, const struct policy_rule *rule,
                          const char *image)
{
    own(sigstore_payload) struct sigstore_payload *p = NULL;
    TRY(check_keys(rule, s)); /* first: what is read after it was written by who has the key */
    TRY(sigstore_payload_read(s->payload, strlen(s->payload), &p));
    if (!strv_has(digests, p->digest))
        return err_new(ERR_DENIED, "it is for another image, %.19s", p->digest);
    if (!policy_identity_fits(rule, image, p->reference))
        return err_new(ERR_DENIED, "it is for the name '%.200s'", p->reference);
    return NULL;
}

fallible trust_find(const struct trusted *t, const struct strv *digests, const struct policy_rule *rule,
                    const char *image, const struct trusted_signature **ret)
{
    own(err) err *last = NULL;
    for (size_t i = 0; i < t->signatures_n; i++) {
        err *e = check_one(&t->signatures[i], digests, rule, image);
        if (!e) {
            if (ret)
                *ret = &t->signatures[i];
            return NULL;
        }
        if (err_is(e, ERR_UNSUPPORTED)) /* of the policy's key: no signature will ever fit */
            return e;
        err_free(last);
        last = e;
    }
    if (!last)
        return err_new(ERR_DENIED, "it is to be signed, and has no signature here");
    return err_new(ERR_DENIED, "none of its %zu signatures will do: %s", t->signatures_n, err_text(last));
}

/* ---- asking ---- */

struct asking {
    struct source *from; /* NULL: what the record has must do */
    struct strv digests; /* top and chosen */
    struct trusted *record;
    bool fetched, changed;
};
static inline void own_drop_asking(struct asking *a)
{
    strv_free(&a->digests);
    trusted_free(a->record);
}

static fallible fetch_once(struct asking *a)
{
    if (a->fetched || !a->from)
        return NULL;
    a->fetched = true;
    for (size_t i = 0; i < a->digests.n; i++)
        TRY(trust_fetch(a->from, a->digests.items[i], a->record));
    return NULL;
}

static err *check(void *ctx, const struct policy_rule *rule, const char *image)
{
    struct asking *a = ctx;
    TRY(fetch_once(a));
    TRY(trust_find(a->record, &a->digests, rule, image, NULL));
    own_mem char *text = policy_rule_text(rule);
    if (image && !trusted_has_verdict(a->record, image, text)) {
        trusted_add_verdict(a->record, image, text);
        a->changed = true;
    }
    return NULL;
}

static void add_digest(struct asking *a, const char *digest)
{
    if (!strv_has(&a->digests, digest))
        strv_add(&a->digests, digest);
}

/* Of a path the whole, since policies name whole ones; the part of an archive or layout after it stays. */
static char *scope_of(const struct source *from)
{
    char whole[PATH_MAX];
    const char *scope = from->scope ? from->scope : "";
    bool path = *scope && !str_eq(from->transport, "docker") && !str_eq(from->transport, "containers-storage");
    return mem_strdup(path && realpath(scope, whole) ? whole : scope);
}

err *trust_admit(void *ctx, struct source *from, const struct registry_manifest *top,
                 const struct registry_manifest *chosen)
{
    const struct trust *t = ctx;
    own(asking) struct asking a = { .from = from };
    if (!t->policy)
        return NULL;
    const struct registry_manifest *doc = chosen ? chosen : top;
    bool docker = str_eq(from->transport, "docker");
    own_mem char *scope = scope_of(from);
    const char *image = docker ? scope : from->name;
    add_digest(&a, doc->digest);
    add_digest(&a, top->digest);
    if (t->store)
        TRY(trusted_read(t->store, doc->digest, &a.record));
    else
        a.record = mem_zalloc(sizeof *a.record);
    TRY(trusted_ask(t->policy, from->transport, scope, image, check, &a));
    if (docker && !strv_has(&a.record->origins, scope)) {
        strv_add(&a.record->origins, scope);
        a.changed = true;
    }
    return t->store && (a.changed || a.fetched) ? trusted_write(t->store, doc->digest, a.record) : NULL;
}

err *trust_admit_pull(void *ctx, const struct registry_manifest *top, const struct registry_manifest *chosen)
{
    struct trust_pull *p = ctx;
    own(source) struct source *from = NULL;
    TRY(source_registry(p->ref, p->registry, &from));
    return trust_admit(&p->trust, from, top, chosen);
}

static err *no_signature(void *ctx, const struct policy_rule *rule, const char *image)
{
    return err_new(ERR_DENIED, "it is to be signed, and `load` reads no signatures: use `husk copy %s:FILE store:NAME`",
                   (const char *)ctx);
}

fallible trust_admit_archive(struct policy *policy, const char *transport, const char *path)
{
    char whole[PATH_MAX];
    const char *scope = path && realpath(path, whole) ? whole : "";
    return policy ? trusted_ask(policy, transport, scope, NULL, no_signature, (void *)transport) : NULL;
}

static err *tar_has_none(void *ctx, const struct policy_rule *rule, const char *image)
{
    return err_new(ERR_DENIED, "it is to be signed, and a tar has no signature: \"tarball\" among the policy's "
                               "transports says what a tar needs");
}

fallible trust_admit_tar(struct policy *policy)
{
    return policy ? trusted_ask(policy, "tarball", "", NULL, tar_has_none, NULL) : NULL;
}

/* The digests of indexes around a manifest are as good as its own: they name it by its digest. */
static fallible add_indexes(struct layout *l, struct asking *a, const char *digest)
{
    own(oci_index) struct oci_index *names = NULL;
    TRY(layout_read_index(l, &names));
    for (size_t i = 0; i < names->manifests_n; i++) {
        own(oci_index) struct oci_index *index = NULL;
        own(registry_manifest) struct registry_manifest *doc = NULL;
        own_mem char *text = NULL;
        size_t len = 0;
        const struct oci_descriptor *d = &names->manifests[i];
        if (!media_is_index(d->media_type))
            continue;
        own(err) err *e = layout_read_blob(l, d->digest, &text, &len);
        err_ignore(e ? NULL : doc_make(text, len, d->media_type, d->digest, &doc), "then it vouches for nothing");
        err_ignore(doc ? oci_index_read(text, len, &index) : NULL, "then it names nothing");
        for (size_t j = 0; index && j < index->manifests_n; j++)
            if (str_eq(index->manifests[j].digest, digest))
                add_digest(a, d->digest);
    }
    return NULL;
}

fallible trust_check_stored(struct layout *l, struct policy *policy, const struct image *image)
{
    own(asking) struct asking a = { .from = NULL };
    own_strv struct strv names = { 0 };
    TRY(trusted_read(l, image->manifest_digest, &a.record));
    TRY(trusted_names(l, image, &names));
    add_digest(&a, image->manifest_digest);
    TRY(add_indexes(l, &a, image->manifest_digest));
    TRY(trusted_ask_stored(policy, a.record, &names, check, &a));
    return a.changed ? trusted_write(l, image->manifest_digest, a.record) : NULL;
}
